"""What the HSM can do: one table of commands, their fields and handlers. Keys and fields in, answer out.

The bytes are docs/formats/hsm.md's. Dates, times and transaction types are computed over as they come:
whether they make sense is for the asker to judge.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hsm_sim import data_keys, seals, signatures, terminal_keys
from hsm_sim.box import Answer, Box
from hsm_sim.bulk_work import ROW_BYTES, BulkWork
from hsm_sim.keys import NEWEST, Usage
from hsm_sim.purses import (
    authentication_cryptogram,
    authentication_key,
    authorise_load,
    personalisation_keys,
    purchase_mac1,
    verify_load_tac,
    verify_purchase_mac2,
    verify_purchase_tac,
)
from hsm_sim.wire import ErrorCode, Request

BULK_ROWS_BOUND = 300_000
RANDOM_BOUND_BYTES = 256

_HEX_DIGITS = frozenset(b"0123456789ABCDEFabcdef")

Fields = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A command's fields, each a name and a width in bytes (None: all that is left), and its handler."""

    fields: Fields
    handler: Callable[..., Answer]


def answer(box: Box, request: Request) -> Answer:
    """Answer a request: the answer's fields, the reason why not, or work to be done in bulk."""
    command = COMMANDS.get(request.command)
    if command is None:
        return ErrorCode.COMMAND_UNKNOWN
    values: dict[str, bytes] = {}
    start = 0
    for name, width in command.fields:
        end = max(start, len(request.fields)) if width is None else start + width
        values[name] = request.fields[start:end]
        start = end
    # Slices past the end come out short without complaint; the sum tells.
    if start != len(request.fields):
        return ErrorCode.LENGTH_WRONG
    return command.handler(box, **values)


def diagnostics(box: Box) -> Answer:
    """NC: the LMK's check value, and that this is a simulator."""
    demo = " DEMO KEYS" if box.keys.demo else ""
    return f"{box.lmk_check}SIMULATOR hsm-sim {box.version}{demo}".encode("ascii")


def echo(_box: Box, *, length: bytes, data: bytes) -> Answer:
    """B2: the same data back."""
    if not _HEX_DIGITS.issuperset(length):
        return ErrorCode.VALUE_IMPOSSIBLE
    return data if int(length, 16) == len(data) else ErrorCode.LENGTH_WRONG


def random_bytes(box: Box, *, count: bytes) -> Answer:
    """N0: random bytes."""
    if not count.isdigit() or not 1 <= int(count) <= RANDOM_BOUND_BYTES:
        return ErrorCode.VALUE_IMPOSSIBLE
    return box.random(int(count))


def verify_purchase_tacs(box: Box, *, rows: bytes, columns: bytes) -> Answer:
    """F0: as E6 for many; the work itself is left to whoever has the time for it."""
    count = int.from_bytes(rows)
    if len(columns) != count * ROW_BYTES:
        return ErrorCode.LENGTH_WRONG
    if count > BULK_ROWS_BOUND:
        return ErrorCode.VALUE_IMPOSSIBLE
    roots = {
        version: root
        for version in (NEWEST, *box.keys.versions(Usage.TAC_ROOT))
        if (root := box.keys.find(Usage.TAC_ROOT, version)) is not None
    }
    return BulkWork(count, columns, roots)


_KEYS: Fields = (("version", 1), ("algorithm", 1), ("issuer", 8), ("card", 8))
_DEAL: Fields = (("amount", 4), ("kind", 1), ("terminal", 6))
_MOMENT: Fields = (("date", 4), ("time", 3))
_SESSION: Fields = (("rnd", 4), ("counter", 2))
_SEQUENCE: Fields = (("terminal_sequence", 4),)
_VERSION: Fields = (("version", 1),)
_BATCH: Fields = (*_VERSION, ("operator", 8), ("digest", 32))

COMMANDS: Mapping[bytes, Command] = MappingProxyType(
    {
        b"NC": Command((), diagnostics),
        b"B2": Command((("length", 4), ("data", None)), echo),
        b"N0": Command((("count", 3),), random_bytes),
        b"E0": Command((*_KEYS, *_SESSION, *_DEAL, *_MOMENT, *_SEQUENCE), purchase_mac1),
        b"E2": Command((*_KEYS, *_SESSION, *_SEQUENCE, ("amount", 4), ("mac2", 4)), verify_purchase_mac2),
        b"E4": Command((*_KEYS, *_SESSION, ("balance", 4), *_DEAL, *_MOMENT, ("mac1", 4)), authorise_load),
        b"E6": Command((*_KEYS, *_DEAL, *_SEQUENCE, *_MOMENT, ("tac", 4)), verify_purchase_tac),
        b"E8": Command(
            (*_KEYS, ("new_balance", 4), ("counter", 2), *_DEAL, *_MOMENT, ("tac", 4)), verify_load_tac
        ),
        b"EA": Command((*_KEYS, ("challenge", 8)), authentication_cryptogram),
        b"F0": Command((("rows", 4), ("columns", None)), verify_purchase_tacs),
        b"F2": Command((*_KEYS, ("transport_version", 1)), personalisation_keys),
        b"F4": Command((*_KEYS, ("transport_version", 1)), authentication_key),
        b"G0": Command(_BATCH, seals.make_batch_mac),
        b"G2": Command((*_BATCH, ("mac", 16)), seals.verify_batch_mac),
        b"G4": Command((*_VERSION, ("digest", 32)), seals.sign_digest),
        b"G6": Command(_VERSION, seals.public_key),
        b"G8": Command((*_VERSION, ("message", None)), seals.sign_message),
        b"GA": Command(_VERSION, seals.qr_public_key),
        b"GC": Command((("algorithm", 1), *_VERSION, ("message", None)), signatures.sign),
        b"GE": Command((("algorithm", 1), *_VERSION), signatures.public_key),
        b"H0": Command(_VERSION, data_keys.new_data_key),
        b"H2": Command((*_VERSION, ("wrapped", 40)), data_keys.open_data_key),
        b"I0": Command((*_VERSION, ("terminal", 8)), terminal_keys.working_key),
        b"I2": Command((("block", 24), ("message", None)), terminal_keys.terminal_mac),
        b"I4": Command((("block", 24), ("mac", 8), ("message", None)), terminal_keys.verify_terminal_mac),
        b"I6": Command(
            (*_VERSION, ("transport_version", 1), ("terminal", 8)), terminal_keys.terminal_master_key
        ),
    }
)
"""Every command by its two letters; the fields stand in the order of the wire."""
