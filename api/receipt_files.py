"""Receipts on the disk: every one as text at once, and as PDF when it is printed."""

from pathlib import Path

from api.doors import Refused
from terminals.receipts import Receipt, as_html, as_text


def keep_text(receipt: Receipt, folder: Path) -> Path:
    """Write the receipt down; a number given before is another receipt's file, and is not written over."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{receipt.number}.txt"
    with path.open("x", encoding="utf-8") as file:
        file.write(as_text(receipt))
    return path


def keep_pdf(receipt: Receipt, folder: Path) -> Path:
    """Write the receipt as a PDF page 80 mm wide, its fonts in it; printed again, it is the same file.

    Raises Refused where the system has no library to set text with.
    """
    try:
        # Loading it takes a second and the text libraries of the system: only who prints needs that.
        from weasyprint import HTML
    except OSError as missing:
        raise Refused(
            f"a PDF needs Pango: install libpangoft2-1.0-0; the text is kept ({missing})"
        ) from missing
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{receipt.number}.pdf"
    HTML(string=as_html(receipt)).write_pdf(path)
    return path
