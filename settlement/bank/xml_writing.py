"""Messages of ISO 20022 put together element by element, in the order of their schema."""

from lxml import etree


def add_texts(parent: etree._Element, *pairs: tuple[str, str]) -> None:
    """Add elements by path under `parent`; a path shares the elements that the one before it made."""
    for path, value in pairs:
        node = parent
        *branches, leaf = path.split("/")
        for tag in branches:
            last = node[-1] if len(node) else None
            node = last if last is not None and last.tag == tag else etree.SubElement(node, tag)
        etree.SubElement(node, leaf).text = value


def qualify(root: etree._Element, namespace: str) -> None:
    """Put everything below the root into the message's namespace."""
    for node in root.iterdescendants():
        node.tag = f"{{{namespace}}}{node.tag}"
