"""Tables on a terminal and in a pipe: what a person must read or copy is never cut, nor broken in its middle."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

GAP: Final = 2
"""Blanks between two columns."""
PROSE_CELLS: Final = 28
"""A column of prose this narrow can still be read; where it would be narrower, it stands under its row."""
VALUE_CELLS: Final = 16
"""What prose has at least, however little room its heading leaves."""


class Kind(Enum):
    """How a column gives way: only prose is broken, and only between words."""

    WHOLE = auto()
    FIGURE = auto()
    PROSE = auto()


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's name and kind."""

    name: str
    kind: Kind = Kind.WHOLE


def figure(name: str) -> Heading:
    """A column of amounts or counts: whole, and to the right."""
    return Heading(name, Kind.FIGURE)


def prose(name: str) -> Heading:
    """A column of words, which may take several lines."""
    return Heading(name, Kind.PROSE)


class Listing:
    """Rows under headings, in the first of three shapes for which there is room.

    Each row on one line, as always in a pipe; prose and headings broken between words; or what has no room, prose
    and then the widest columns, on lines of its own under its row. A heading that is a plain text stands over cells
    that stay whole. Cells are never taken for markup; a Text brings its own style.
    """

    def __init__(self, *headings: str | Heading, title: str = "") -> None:
        self.title = title
        self._headings = tuple(Heading(one) if isinstance(one, str) else one for one in headings)
        self._rows: list[tuple[Text, ...]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """What the headings say."""
        return tuple(heading.name for heading in self._headings)

    def add(self, *cells: str | Text, style: str = "") -> None:
        """Add a row with a cell for each heading. Raises ValueError for another number of cells."""
        if len(cells) != len(self._headings):
            raise ValueError(f"{len(cells)} cells under {len(self._headings)} headings; give one for each")
        self._rows.append(tuple(_on_one_line(cell, style) for cell in cells))

    def __len__(self) -> int:
        return len(self._rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        room = options.max_width
        widths = self._widths(room)
        if self.title:
            yield Text()
            yield _line(Text(self.title, style="italic"))
        yield from self._names(console, widths)
        yield _line(Text("─" * (sum(widths.values()) + GAP * (len(widths) - 1)), style="dim"))
        below = [place for place in range(len(self._headings)) if place not in widths]
        for row in self._rows:
            yield from self._across(console, row, widths)
            yield from self._down(console, row, below, room)

    def _widths(self, room: int) -> dict[int, int]:
        """The widths of the columns that stand beside one another; the others have to stand below."""
        extents = {
            place: _extent(heading, [row[place] for row in self._rows])
            for place, heading in enumerate(self._headings)
        }

        def yields(place: int) -> tuple[bool, int]:
            return self._headings[place].kind is Kind.PROSE, extents[place].wanted

        while not (widths := _shared(extents, room)) and len(extents) > 1:
            del extents[max(list(extents)[1:], key=yields)]
        return widths or {place: extent.wanted for place, extent in extents.items()}

    def _names(self, console: Console, widths: dict[int, int]) -> Iterator[Text]:
        """The headings, each just above its column."""
        names = [
            _broken(console, Text(self._headings[place].name, style="bold"), widths[place])
            for place in widths
        ]
        depth = max(map(len, names))
        yield from self._beside([[Text()] * (depth - len(name)) + name for name in names], widths)

    def _across(self, console: Console, row: Sequence[Text], widths: dict[int, int]) -> Iterator[Text]:
        yield from self._beside([_broken(console, row[place], widths[place]) for place in widths], widths)

    def _beside(self, cells: Sequence[Sequence[Text]], widths: dict[int, int]) -> Iterator[Text]:
        """The lines of cells that stand beside one another."""
        for number in range(max(map(len, cells))):
            line = Text()
            for place, lines in zip(widths, cells, strict=True):
                part = lines[number] if number < len(lines) else Text()
                blanks = " " * (widths[place] - part.cell_len)
                right = self._headings[place].kind is Kind.FIGURE
                line.append_text(Text.assemble(blanks, part) if right else Text.assemble(part, blanks))
                line.append(" " * GAP)
            line.rstrip()
            yield _line(line)

    def _down(
        self, console: Console, row: Sequence[Text], places: Sequence[int], room: int
    ) -> Iterator[Text]:
        """Lines of heading and value under a row; what is empty is left out."""
        indent = max((cell_len(self._headings[place].name) for place in places), default=0) + 2 * GAP
        for place in places:
            if not row[place].plain:
                continue
            name = " " * GAP + self._headings[place].name
            lead = Text(name + " " * (indent - cell_len(name)), style="bold")
            for part in _broken(console, row[place], max(room - indent, VALUE_CELLS)):
                yield _line(Text.assemble(lead, part))
                lead = Text(" " * indent)


@dataclass(frozen=True, slots=True)
class _Extent:
    """Cells of the terminal that a column takes: on one line, and with all of its breaks."""

    wanted: int
    least: int


def _extent(heading: Heading, cells: Sequence[Text]) -> _Extent:
    widest = max((cell.cell_len for cell in cells), default=0)
    least = widest
    if heading.kind is Kind.PROSE:
        least = max(min(PROSE_CELLS, widest), *map(_longest_word, cells), 0)
    return _Extent(max(widest, cell_len(heading.name)), max(least, _longest_word(Text(heading.name))))


def _shared(extents: Mapping[int, _Extent], room: int) -> dict[int, int]:
    """The columns' widths in the room there is, the widest giving way first; none where it is not enough."""
    room -= GAP * (len(extents) - 1)
    for most in range(max(one.wanted for one in extents.values()), -1, -1):
        widths = {place: max(one.least, min(one.wanted, most)) for place, one in extents.items()}
        if sum(widths.values()) <= room:
            return widths
    return {}


def _longest_word(text: Text) -> int:
    return max(map(cell_len, text.plain.split()), default=0)


def _broken(console: Console, text: Text, width: int) -> list[Text]:
    """A text in lines, broken between words alone: a longer word goes over the edge."""
    if text.cell_len <= width:
        return [text]
    lines = text.wrap(console, max(width, _longest_word(text)), no_wrap=False)
    for line in lines:
        line.rstrip()
    return list(lines)


def _on_one_line(cell: str | Text, style: str) -> Text:
    text = Text(cell) if isinstance(cell, str) else cell.copy()
    text.plain = " ".join(text.plain.splitlines())
    if style:
        text.stylize(style)
    return text


def _line(text: Text) -> Text:
    """A line that goes over the terminal's edge rather than lose anything."""
    text.no_wrap, text.overflow = True, "ignore"
    return text
