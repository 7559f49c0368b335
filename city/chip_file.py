"""Virtual cards and SAMs that live in files: their memory survives whatever happens to the program that plays them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from card.chip.applet import VirtualCard
from card.chip.blank import BlankChip, Issue
from card.chip.memory import MEMORY_BYTES, document_in, writes
from card.chip.sam_chip import SamState, VirtualSam, sam_from_json, sam_to_json
from card.chip.state import CardState, state_from_json, state_to_json
from card.chip.t0 import Inserted


class ChipUnreadable(Exception):
    """A file that is no chip's memory, or another kind of chip's; the message names it and says what to do."""


class ChipFile:
    """The memory of one chip, in a file that only its owner may read: a SAM's holds keys."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made at its full size, so that later writes change bytes and never the file's length.
        made = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(made).st_size == 0:
                os.ftruncate(made, MEMORY_BYTES)
        finally:
            os.close(made)
        if path.stat().st_size != MEMORY_BYTES:
            raise ChipUnreadable(f"{path} has {path.stat().st_size} bytes and is no chip: give another file")

    def read(self) -> dict[str, Any] | None:
        """The document in it; None on a blank chip."""
        document = document_in(self._path.read_bytes())
        return None if document is None else dict(json.loads(document))

    def write(self, document: dict[str, Any]) -> None:
        """Put a document there; whatever happens, the one before or this one is in it. Raises OSError."""
        text = json.dumps(document, separators=(",", ":")).encode("ascii")
        file = os.open(self._path, os.O_RDWR)
        try:
            for step in writes(os.pread(file, MEMORY_BYTES, 0), text):
                os.pwrite(file, step.data, step.offset)
                os.fsync(file)
        finally:
            os.close(file)


class FileCard:
    """A card whose memory is a file: blank, until STORE DATA has made it somebody's."""

    def __init__(self, file: ChipFile, transport_key: bytes, random: Callable[[int], bytes]) -> None:
        self._file, self._transport_key, self._random = file, transport_key, random
        document = file.read()
        self._chip: Inserted = (
            BlankChip(transport_key, self._become) if document is None else self._card(_issue_from(document))
        )

    def transmit(self, apdu: bytes) -> bytes:
        """One command."""
        return self._chip.transmit(apdu)

    def reset(self) -> None:
        """Power off and on again."""
        self._chip.reset()

    def _become(self, issue: Issue) -> None:
        self._file.write(_issue_to(issue))
        self._chip = self._card(issue)

    def _card(self, issue: Issue) -> VirtualCard:
        def keep(state: CardState) -> None:
            self._file.write(_issue_to(Issue(state, issue.wrapped_keys, issue.wrapped_authentication)))

        return VirtualCard(issue.state, issue.keys(self._transport_key), self._random, keep)


def file_sam(file: ChipFile) -> VirtualSam:
    """A SAM whose memory is a file. Raises ChipUnreadable for a card's."""
    document = file.read()
    if document is None:
        state = SamState()
    elif document.get("kind") == "sam":
        state = sam_from_json(document)
    else:
        raise ChipUnreadable("that file holds a card: give the SAM's")
    return VirtualSam(state, lambda after: file.write({"kind": "sam", **sam_to_json(after)}))


def _issue_to(issue: Issue) -> dict[str, Any]:
    return {
        "kind": "card",
        "state": state_to_json(issue.state),
        "keys": issue.wrapped_keys.hex(),
        "authentication": issue.wrapped_authentication.hex(),
    }


def _issue_from(document: dict[str, Any]) -> Issue:
    if document.get("kind") != "card":
        raise ChipUnreadable("that file holds a SAM: give the card's")
    keys, authentication = bytes.fromhex(document["keys"]), bytes.fromhex(document["authentication"])
    return Issue(state_from_json(document["state"]), keys, authentication)
