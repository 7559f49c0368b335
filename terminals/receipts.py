"""Receipts of a counter: what was done, for whom to the fen, as text 32 columns wide, and as HTML to print."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from unicodedata import east_asian_width

from clearing.wire.bcd import CITY_ZONE
from terminals.counter_texts import CounterText

COLUMNS = 32
CARD_NUMBER = CounterText("卡号", "Card")


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt; `number` is the counter's own. `lines` are labels with values, in order."""

    number: str
    title: CounterText
    at: datetime
    terminal: str
    clerk: str
    lines: Sequence[tuple[CounterText, str]]


def masked_card(card_no: str) -> str:
    """A card's number as it may lie about on paper: the first six digits and the last four."""
    return f"{card_no[:6]}{'*' * (len(card_no) - 10)}{card_no[-4:]}"


def as_text(receipt: Receipt) -> str:
    """The receipt for a narrow printer: a label left, its value right, or below where there is no room."""
    rule = "-" * COLUMNS
    written = [_middle("城市一卡通"), _middle(receipt.title.chinese), _middle(receipt.title.english), rule]
    for label, value in _rows(receipt):
        name = f"{label.chinese} {label.english}"
        gap = COLUMNS - width(name) - width(value)
        written += (
            [name + " " * gap + value] if gap > 0 else [name, " " * max(COLUMNS - width(value), 0) + value]
        )
    return "\n".join([*written, rule, _middle("请妥善保管 Please keep"), ""])


def as_html(receipt: Receipt) -> str:
    """The same as a page 80 mm wide."""
    rows = "".join(
        f"<tr><th>{escape(label.chinese)}<small>{escape(label.english)}</small></th><td>{escape(value)}</td></tr>"
        for label, value in _rows(receipt)
    )
    title = f"{escape(receipt.title.chinese)}<small>{escape(receipt.title.english)}</small>"
    return (
        f"<!doctype html><html lang='zh'><meta charset='utf-8'><title>{escape(receipt.number)}</title><style>{_STYLE}"
        f"</style><h1>城市一卡通</h1><h2>{title}</h2><table>{rows}</table><p>请妥善保管 Please keep</p></html>"
    )


def width(text: str) -> int:
    """How many columns a text takes: a Chinese character takes two."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def _rows(receipt: Receipt) -> list[tuple[CounterText, str]]:
    when = receipt.at.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S")
    return [
        (CounterText("凭条", "No."), receipt.number),
        (CounterText("时间", "Time"), when),
        (CounterText("终端", "Terminal"), receipt.terminal),
        (CounterText("柜员", "Clerk"), receipt.clerk),
        *receipt.lines,
    ]


def _middle(text: str) -> str:
    return " " * max((COLUMNS - width(text)) // 2, 0) + text


_STYLE = (
    "@page{size:80mm 150mm;margin:5mm}body{font-family:'Noto Sans CJK SC','WenQuanYi Micro Hei',sans-serif;"
    "font-size:9pt}h1,h2,p{text-align:center;margin:1mm 0}h1{font-size:12pt}h2{font-size:10pt}"
    "table{width:100%;border-top:1px dashed;border-bottom:1px dashed}th{text-align:left;font-weight:normal}"
    "td{text-align:right;word-break:break-all}small{display:block;font-size:7pt}"
)
