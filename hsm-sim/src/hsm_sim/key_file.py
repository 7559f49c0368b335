"""The HSM's keys for the disk: a key block each under the LMK, and one seal over all of them."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hsm_sim.key_blocks import Header, KeyBlockError, Protection
from hsm_sim.keys import ATTRIBUTES, KEY_BYTES, LAST_VERSION, KeyStore, Slot, Usage, lmk_check_value

_FORMAT = 2
_FORMAT_OF_SEALED_BYTES = 1
_NONCE_BYTES = 12
_LABEL = "LB"


class KeyFileError(Exception):
    """The sealed keys cannot be used; the message says what is wrong with them and what to do."""


def seal_keys(keys: KeyStore, lmk: bytes, random: Callable[[int], bytes]) -> str:
    """Write the keys as JSON: each as a key block under the LMK, all of them under one seal."""
    protection = Protection.of(lmk)
    blocks = [
        protection.wrap(
            _header((usage, version), keys.mode(usage, version)), keys.slots[usage, version], random
        )
        for usage, version in sorted(keys.slots)
    ]
    rows = [
        {"usage": usage, "version": version, "block": block}
        for (usage, version), block in zip(sorted(keys.slots), blocks, strict=True)
    ]
    document = {"format": _FORMAT, "demo": keys.demo, "keys": rows, "seal": seal_of(lmk, "\n".join(blocks))}
    return json.dumps(document, indent=1) + "\n"


def unseal_keys(text: str, lmk: bytes) -> KeyStore:
    """Read what `seal_keys` wrote, now or before there were key blocks.

    Raises KeyFileError where it is damaged, changed, or of another LMK.
    """
    document = _document(text)
    if document.number == _FORMAT_OF_SEALED_BYTES:
        return _open_sealed_bytes(document.rows, lmk)
    protection = Protection.of(lmk)
    opened: dict[Slot, bytes] = {}
    generating = set()
    for slot, block in document.rows.items():
        try:
            header, opened[slot] = protection.unwrap(block)
        except KeyBlockError as error:
            raise _not_opened(slot, lmk, error) from error
        if header.mode == ATTRIBUTES[slot[0]].mode:
            generating.add(slot)
        elif header.mode != ATTRIBUTES[slot[0]].retired_mode:
            raise KeyFileError(f"{_name(slot)} has mode of use {header.mode!r}; restore the key file")
        if _header(slot, header.mode) != header:
            raise KeyFileError(f"{_name(slot)} is another key's block; restore the key file")
    # A block tells of itself only. The seal tells that none was taken out or put back.
    if not hmac.compare_digest(document.seal, seal_of(lmk, "\n".join(document.rows.values()))):
        raise KeyFileError("the keys are not those that were sealed together; restore the key file")
    keys = _checked(opened)
    return KeyStore(opened, frozenset(slot for slot in generating if slot[1] != keys.newest(slot[0])))


def seal_of(lmk: bytes, text: str) -> str:
    """What only the holder of the LMK can put under a text: an HMAC-SHA256 in hex, under a key of its own."""
    key = HKDF(SHA256(), 32, salt=None, info=b"hsm-sim seal").derive(lmk)
    return hmac.new(key, text.encode("utf-8"), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class _Document:
    number: int
    rows: Mapping[Slot, str]
    seal: str


def _header(slot: Slot, mode: str) -> Header:
    usage, version = slot
    kind = ATTRIBUTES[usage]
    return Header(kind.usage, kind.algorithm, mode, f"{version:02X}", "N", ((_LABEL, f"hsm-sim {usage}"),))


def _document(text: str) -> _Document:
    try:
        document: Any = json.loads(text)
        number = document["format"]
        column = {_FORMAT: "block", _FORMAT_OF_SEALED_BYTES: "sealed"}.get(number)
        if column is None:
            raise ValueError(f"format {number!r} is not {_FORMAT}")
        rows = {(Usage(row["usage"]), int(row["version"])): str(row[column]) for row in document["keys"]}
        seal = str(document["seal"]) if number == _FORMAT else ""
        if len(rows) != len(document["keys"]) or not seal.isascii():
            raise ValueError("a key stands there twice, or the seal is none")
    except (ValueError, KeyError, TypeError) as error:
        raise KeyFileError(f"the key file cannot be read ({error}); restore it from a backup") from error
    for slot in rows:
        if not 1 <= slot[1] <= LAST_VERSION:
            raise KeyFileError(f"{_name(slot)} is not one of ours; restore the key file")
    return _Document(number, rows, seal)


def _open_sealed_bytes(rows: Mapping[Slot, str], lmk: bytes) -> KeyStore:
    """The keys of a file from before key blocks: AES-256-GCM each, bound to the list of all names."""
    cipher, opened = AESGCM(lmk), {}
    listed = ",".join(f"{owner}{number}" for owner, number in sorted(rows))
    for slot, sealed in rows.items():
        name = f"hsm-sim {_FORMAT_OF_SEALED_BYTES} {slot[0]}{slot[1]} of {listed}".encode("ascii")
        try:
            data = bytes.fromhex(sealed)
            opened[slot] = cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], name)
        except (InvalidTag, ValueError) as error:
            raise _not_opened(slot, lmk, error) from error
    return _checked(opened)


def _checked(opened: Mapping[Slot, bytes]) -> KeyStore:
    for slot, key in opened.items():
        if len(key) != KEY_BYTES[slot[0]]:
            raise KeyFileError(f"{_name(slot)} has {len(key)} bytes; restore the key file")
    return KeyStore(opened)


def _not_opened(slot: Slot, lmk: bytes, error: Exception) -> KeyFileError:
    return KeyFileError(
        f"{_name(slot)} does not open under the LMK with check value {lmk_check_value(lmk)} ({error}); "
        "give the LMK it was sealed under, or restore the key file"
    )


def _name(slot: Slot) -> str:
    return f"key {slot[0]} version {slot[1]}"
