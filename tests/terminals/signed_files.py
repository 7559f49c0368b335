"""Signed files for the tests of terminals, by a key of the tests' own, and settings to be varied."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from card.algorithms import Algorithm
from clearing.wire.bcd import pack_moment
from clearing.wire.hotlist import numbers_of, write_change, write_hotlist
from clearing.wire.signed import Document, Kind, Signer, write_document
from tests.clearing.test_wire_tariff import TEXT

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEYS = {(Algorithm.ED25519, 1): KEY.public_key().public_bytes_raw()}
MADE = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
JOURNEYS = {
    "transfer_window_minutes": 60, "stay_minutes": 180, "passback_minutes": 10, "incomplete_fen": 800,
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "version": 1, "terminal": None, "ride": "bus", "line": 1, "station": 0, "fares": {"flat_fen": 200},
    "holder_classes": ["standard", "half", "free"], "issuers": ["01011000"], "clock_behind_s": 300,
    "offline_hours": 168, "capacity": 1000,
}  # fmt: skip


def signer_by(key: Ed25519PrivateKey, version: int = 1) -> Signer:
    """What the HSM would do with this key."""
    return Signer(Algorithm.ED25519, lambda digest: (version, key.sign(digest)))


sign = signer_by(KEY)


def whole_list(version: int, cards: Iterable[str] = (), *, made_at: datetime = MADE) -> bytes:
    """A whole hotlist."""
    return write_hotlist(version, pack_moment(made_at), numbers_of(cards), sign)


def change_of(whole: bytes, version: int, cards: Iterable[str] = ()) -> bytes:
    """The change from that list to this."""
    return write_change(whole, version, pack_moment(MADE), numbers_of(cards), sign)


def document(kind: Kind, text: str, *, version: int | None = None, made_at: datetime = MADE) -> bytes:
    """A signed text; its version is the one it says, unless another is to be signed."""
    said = json.loads(text)["version"] if version is None else version
    return write_document(Document(kind, said, pack_moment(made_at), text.encode()), sign)


def settings_text(**changed: Any) -> str:
    """Settings, but for these members."""
    return json.dumps(SETTINGS | changed)


def tariff_text(*, journeys: dict[str, int] | None = None, **changed: Any) -> str:
    """Shenzhen's tariff, but for these members; with `journeys` its terminals make journeys of taps."""
    text: dict[str, Any] = json.loads(TEXT)
    if journeys is not None:
        text["journeys"] = journeys
        text["rides"]["metro_entry"] = {"max_fare_fen": 3000, "bands": [{"up_to_fen": None, "pay_bp": 9500}]}
        text["rides"]["ferry"] = {"max_fare_fen": 1000, "bands": [{"up_to_fen": None, "pay_bp": 10000}]}
    return json.dumps(text | changed)
