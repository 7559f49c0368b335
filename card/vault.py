"""Personal data sealed under data keys that the HSM wraps, and found again by a blind index.

The database holds the data keys wrapped; only a running program that the HSM serves has them clear, in its
memory. Who takes the database away takes nothing that can be read or tried out.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Engine, Row, insert, select

from card.hsm.client import Hsm
from card.hsm.envelopes import DataKey
from card.tables import data_key
from ledger.db import reading, writing

_FORMAT = b"\x01"
_NUMBER_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = len(_FORMAT) + _NUMBER_BYTES
_TAG_BYTES = 16


class KeyPurpose(StrEnum):
    """What a data key is for. There is one for the index, for good; sealing gets new ones."""

    SEAL = "seal"
    INDEX = "index"


class SealBroken(Exception):
    """Sealed data does not open: it was changed, belongs elsewhere, or its key is not at hand."""


class Vault:
    """Seals texts and opens them; safe to share between threads. It never shows a key or a text.

    `about` says what is sealed and whose it is ("name of H0123456789"): what is put in another place does
    not open there. Random nonces of 12 bytes bound one data key to some 2^32 texts (NIST SP 800-38D, 8.3).
    """

    def __init__(
        self, sealing: Mapping[int, bytes], index_key: bytes, random: Callable[[int], bytes]
    ) -> None:
        self._ciphers = {number: AESGCM(key) for number, key in sealing.items()}
        self._newest = max(sealing)
        self._index_key = index_key
        self._random = random

    def seal(self, plain: str, about: str = "") -> bytes:
        """Encrypt a text (AES-256-GCM) under the newest data key."""
        head = _FORMAT + self._newest.to_bytes(_NUMBER_BYTES, "big")
        nonce = self._random(_NONCE_BYTES)
        return (
            head + nonce + self._ciphers[self._newest].encrypt(nonce, plain.encode(), head + about.encode())
        )

    def open(self, sealed: bytes, about: str = "") -> str:
        """The text that was sealed about the same. Raises SealBroken."""
        head, rest = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        if head[:1] != _FORMAT or len(rest) < _NONCE_BYTES + _TAG_BYTES:
            raise SealBroken("what is stored is no sealed text; restore it from a backup")
        number = int.from_bytes(head[1:], "big")
        cipher = self._ciphers.get(number)
        if cipher is None:
            raise SealBroken(
                f"data key {number} is not at hand; open the vault again, or restore table data_key"
            )
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], head + about.encode()).decode()
        except InvalidTag as error:
            raise SealBroken(
                f"a text sealed under data key {number} was changed or moved; restore it from a backup"
            ) from error

    def index(self, kind: str, plain: str) -> bytes:
        """A blind index: equal texts of one kind have the same, and nobody without the key can make it.

        HMAC-SHA-256, 32 bytes. The kind keeps apart equal texts that mean different things.
        """
        if "\0" in kind:
            raise ValueError(f"kind {kind!r} holds a zero character; name it in words")
        return hmac.digest(self._index_key, f"{kind}\0{plain}".encode(), hashlib.sha256)


def open_vault(engine: Engine, hsm: Hsm, *, random: Callable[[int], bytes], at: datetime) -> Vault:
    """Have the HSM open the data keys, the first time make them. Raises HsmError.

    To be called once, when a program starts; the HSM is asked outside of any transaction.
    """
    rows = _rows(engine)
    if not rows:
        made = {(purpose, 1): hsm.new_data_key() for purpose in KeyPurpose}
        with writing(engine) as conn:
            # Another program may have been quicker; then its keys are the ones.
            if conn.execute(select(data_key.c.number)).first() is None:
                for (purpose, number), key in made.items():
                    _keep(conn, purpose, number, key, at)
        rows = _rows(engine)
    clear = {(row.purpose, row.number): hsm.open_data_key(row.key_version, row.wrapped) for row in rows}
    sealing = {number: key for (purpose, number), key in clear.items() if purpose == KeyPurpose.SEAL}
    return Vault(sealing, clear[KeyPurpose.INDEX, 1], random)


def add_sealing_key(engine: Engine, hsm: Hsm, *, at: datetime) -> int:
    """Make a new data key, under which vaults opened from now on seal; its number. Older ones still open."""
    key = hsm.new_data_key()
    with writing(engine) as conn:
        query = select(data_key.c.number).where(data_key.c.purpose == KeyPurpose.SEAL.value)
        number = max(conn.scalars(query), default=0) + 1
        _keep(conn, KeyPurpose.SEAL, number, key, at)
    return number


def _rows(engine: Engine) -> list[Row[tuple[str, int, int, bytes]]]:
    columns = data_key.c
    with reading(engine) as conn:
        query = select(columns.purpose, columns.number, columns.key_version, columns.wrapped)
        return list(conn.execute(query))


def _keep(conn: Connection, purpose: KeyPurpose, number: int, key: DataKey, at: datetime) -> None:
    conn.execute(
        insert(data_key).values(
            purpose=purpose.value, number=number, key_version=key.version, wrapped=key.wrapped, made_at=at
        )
    )
