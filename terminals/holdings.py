"""What a terminal was told by its depot and obeys: hotlist, tariffs and settings, each signed and with its version.

Files come as bytes, from wherever; what holds is kept in a folder and looked at again after a restart. A version
never goes back.
"""

import mmap
import os
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path

from clearing.wire.bcd import moment_of
from clearing.wire.hotlist import MAGIC as HOTLIST_MAGIC
from clearing.wire.hotlist import CardNumbers, HotlistFile, Statement, applied, read_hotlist
from clearing.wire.signed import Document, ForgedError, Keys, Kind, SignedError, read_document
from clearing.wire.strict import FieldError
from clearing.wire.tariff import Tariff, parse_tariff, tariff_on
from terminals.files import write_whole
from terminals.hotlist import Hotlist
from terminals.settings import Settings, parse_settings

HOTLIST = "hotlist.ohl"
KEPT_TARIFFS = 8


class Receipt(StrEnum):
    """What became of a file, in order of precedence: the first that applies."""

    UNREADABLE = "unreadable"
    FORGED = "forged"
    NOT_OURS = "not_ours"
    OLDER = "older"
    CHANGED = "changed"
    GAP = "gap"
    HELD = "held"
    TAKEN = "taken"


class Holdings:
    """A terminal's folder of signed files, and the public keys that it trusts.

    A file that no longer holds is as good as none, and comes again; `damaged` names those found at the start.
    """

    def __init__(self, folder: Path, keys: Keys, terminal: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._keys = keys
        self._terminal = terminal
        self._documents: dict[tuple[Kind, int], Document] = {}
        self._tariffs: dict[int, Tariff] = {}
        self._settings: Settings | None = None
        self._hotlist: HotlistFile | None = None
        self.damaged: list[str] = []
        for path in [*sorted(folder.glob("*.ocd")), *folder.glob(HOTLIST)]:
            try:
                self._reload(path)
            except (SignedError, FieldError):
                self.damaged.append(path.name)

    @property
    def hotlist(self) -> Hotlist:
        """The list in force; version 0, with nobody on it, before the first came."""
        held = self._hotlist
        return Hotlist(0) if held is None else Hotlist(held.statement.version, CardNumbers(held.added))

    @property
    def settings(self) -> Settings | None:
        """The settings in force; None before the first came."""
        return self._settings

    @property
    def versions(self) -> dict[str, int]:
        """The newest version of everything, 0 where nothing came yet."""
        return {
            "hotlist": self.hotlist.version,
            "tariff": max(self._tariffs, default=0),
            "settings": 0 if self._settings is None else self._settings.version,
        }

    @property
    def newest_made_at(self) -> datetime | None:
        """When the newest file was made: no right clock shows an earlier time."""
        made = [document.made_at for document in self._documents.values()]
        made += [] if self._hotlist is None else [self._hotlist.statement.made_at]
        return moment_of(max(made)) if made else None

    def tariff(self, day: date) -> Tariff | None:
        """The tariff of a city day, as the clearing house chooses it; None where none is in force."""
        return tariff_on(self._tariffs.values(), day)

    def take(self, data: bytes) -> Receipt:
        """Keep a file from the depot, if it holds and is newer; nothing of a bad one is kept."""
        try:
            if data[:4] == HOTLIST_MAGIC:
                return self._take_hotlist(data)
            return self._take_document(data)
        except ForgedError:
            return Receipt.FORGED
        except (SignedError, FieldError):
            return Receipt.UNREADABLE

    def _take_document(self, data: bytes) -> Receipt:
        document = read_document(data, self._keys)
        newest = max((version for kind, version in self._documents if kind is document.kind), default=0)
        if document.version <= newest:
            return _again(document, self._documents.get((document.kind, document.version)))
        content = _content(document)
        if isinstance(content, Settings) and content.terminal not in (None, self._terminal):
            return Receipt.NOT_OURS
        write_whole(self._path(document), data)
        self._adopt(document)
        return Receipt.TAKEN

    def _take_hotlist(self, data: bytes) -> Receipt:
        file, held = read_hotlist(data, self._keys), self._hotlist
        version = 0 if held is None else held.statement.version
        if held is not None and file.statement.version <= version:
            return _again(file.statement, held.statement)
        if file.follows is not None:
            if held is None or file.follows != version:
                return Receipt.GAP
            data = applied(file, held.added)
        write_whole(self._folder / HOTLIST, data)
        self._map_hotlist()
        return Receipt.TAKEN

    def _reload(self, path: Path) -> None:
        if path.name == HOTLIST:
            self._map_hotlist()
        else:
            self._adopt(read_document(path.read_bytes(), self._keys))

    def _map_hotlist(self) -> None:
        """The list lies in the file: a million cards cost the terminal no memory of its own."""
        with (self._folder / HOTLIST).open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                raise SignedError("file", "empty", "ask for it again")
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        held = read_hotlist(mapped, self._keys)
        # Only a whole list is held against its digest when it is read.
        if held.follows is not None:
            raise SignedError("form", f"a change of {held.follows}", "ask for the whole list")
        self._hotlist = held

    def _adopt(self, document: Document) -> None:
        content = _content(document)
        self._documents[document.kind, document.version] = document
        if isinstance(content, Tariff):
            self._tariffs[content.version] = content
            while len(self._tariffs) > KEPT_TARIFFS:
                oldest = min(self._tariffs)
                del self._tariffs[oldest]
                self._drop(Kind.TARIFF, oldest)
        else:
            if self._settings is not None:
                self._drop(Kind.SETTINGS, min(self._settings.version, content.version))
            if self._settings is None or content.version > self._settings.version:
                self._settings = content

    def _drop(self, kind: Kind, version: int) -> None:
        self._path(self._documents.pop((kind, version))).unlink(missing_ok=True)

    def _path(self, document: Document) -> Path:
        return self._folder / f"{document.kind.name.lower()}-{document.version:05d}.ocd"


def _again(given: Document | Statement, held: Document | Statement | None) -> Receipt:
    """A version that is not newer: the same once more, another under its number, or one long replaced."""
    if held is None or held.version > given.version:
        return Receipt.OLDER
    return Receipt.HELD if given == held else Receipt.CHANGED


def _content(document: Document) -> Tariff | Settings:
    """The document's text, read strictly; its own version must be the one that was signed."""
    try:
        text = document.payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SignedError("payload", f"byte {error.start}", "it must be UTF-8; sign the text file") from error
    content = parse_tariff(text) if document.kind is Kind.TARIFF else parse_settings(text)
    if content.version != document.version:
        raise SignedError("version", document.version, f"the text says {content.version}; sign what it says")
    return content
