"""What the HSM can do: one table of commands, their fields and handlers. Keys and fields in, answer out.

The bytes are docs/formats/hsm.md's. Dates, times and transaction types are computed over as they come:
whether they make sense is for the asker to judge.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

from hsm_sim import data_keys, host_keys, host_macs, host_pins, seals, signatures, terminal_keys
from hsm_sim.box import Answer, Box, Refused
from hsm_sim.bulk_work import ROW_BYTES, ROWS_BOUND, BulkWork
from hsm_sim.keys import NEWEST, KeyStore, Slot, Usage
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

RANDOM_BOUND_BYTES = 256

_NATIONAL = b"\x01"
_DIAGNOSTICS = b"NC"
_HEX_DIGITS = frozenset(b"0123456789ABCDEFabcdef")

Fields = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Use:
    """A key of ours that a command uses: its usage, and the field that names its version.

    Without such a field it is the newest. A command that `generates` makes what others will verify or open, which
    only a version that generates may; it verifies or opens otherwise, which every version may.
    """

    usage: Usage
    generates: bool = False
    version_field: str | None = "version"
    by_algorithm: Mapping[bytes, Usage] = field(default_factory=dict)
    """The usage in its place, by the field `algorithm`; other algorithms leave it at `usage`."""

    def slot(self, values: Mapping[str, bytes]) -> Slot:
        """The usage and version that the fields ask for; version 0 is the newest."""
        version = NEWEST if self.version_field is None else values[self.version_field][0]
        return self.by_algorithm.get(values.get("algorithm", b""), self.usage), version

    def name(self, slot: Slot, keys: KeyStore) -> str:
        """The key's name in the audit log; version 0 is that of a block which the handler opens."""
        usage, version = slot
        in_block = self.version_field is None and not self.generates
        return f"{usage} {version if in_block else version or keys.newest(usage)}"


@dataclass(frozen=True, slots=True)
class Command:
    """A command's fields, each a name and a width in bytes (None: all that is left), its handler, and its keys."""

    fields: Fields
    handler: Callable[..., Answer]
    uses: tuple[Use, ...] = ()


def answer(box: Box, request: Request) -> Answer:
    """Answer a request: the answer's fields, the reason why not, or work to be done in bulk."""
    if box.tampered and request.command != _DIAGNOSTICS:
        return ErrorCode.TAMPERED
    command = COMMANDS.get(request.command)
    if command is None:
        return ErrorCode.COMMAND_UNKNOWN
    in_bulk = command.handler is verify_purchase_tacs  # megabytes, which are looked at where they lie
    values = _cut(command, cast(bytes, request.fields) if in_bulk else bytes(request.fields))
    if values is None:
        return ErrorCode.LENGTH_WRONG
    slots = [use.slot(values) for use in command.uses]
    for use, (usage, version) in zip(command.uses, slots, strict=True):
        if use.generates and not box.keys.generates(usage, version) and box.keys.find(usage, version):
            return ErrorCode.VERSION_OLD
    try:
        found = command.handler(box, **values)
    except Refused as refusal:
        return refusal.code
    failed = found is ErrorCode.VERIFICATION_FAILED
    if failed or isinstance(found, bytes):
        for use, slot in zip(command.uses, slots, strict=True):
            box.uses.count(use.name(slot, box.keys), failed=failed)
    return found


def _cut(command: Command, fields: bytes) -> dict[str, bytes] | None:
    """The fields by name, or None where they are too short or too long."""
    values: dict[str, bytes] = {}
    start = 0
    for name, width in command.fields:
        end = max(start, len(fields)) if width is None else start + width
        values[name] = fields[start:end]
        start = end
    # Slices past the end come out short without complaint; the sum tells.
    return values if start == len(fields) else None


def diagnostics(box: Box) -> Answer:
    """NC: the LMK's check value, that this is a simulator, and whether its keys are the demo's or gone."""
    state = " TAMPERED" if box.tampered else " DEMO KEYS" if box.keys.demo else ""
    return f"{box.lmk_check}SIMULATOR hsm-sim {box.version}{state}".encode("ascii")


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


def verify_purchase_tacs(box: Box, *, table: bytes | memoryview) -> Answer:
    """F0: as E6 for many; the work itself is left to whoever has the time for it."""
    count, columns = int.from_bytes(table[:4]), memoryview(table)[4:]
    if len(table) != 4 + count * ROW_BYTES:
        return ErrorCode.LENGTH_WRONG
    if count > ROWS_BOUND:
        return ErrorCode.VALUE_IMPOSSIBLE
    roots = {
        (version, algorithm): root
        for algorithm, usage in enumerate((Usage.TAC_ROOT, Usage.SM4_TAC_ROOT))
        for version in (NEWEST, *box.keys.versions(usage))
        if (root := box.keys.find(usage, version)) is not None
    }
    _count_rows(box, count, columns)
    return BulkWork(count, columns, roots)


def _count_rows(box: Box, rows: int, columns: memoryview) -> None:
    """A bulk request uses a key once a row, the key that the first two columns, version and algorithm, name."""
    import numpy as np  # only where there is bulk work: the server starts without it

    versions, algorithms = np.frombuffer(columns[: 2 * rows], np.uint8).reshape(2, rows)
    # Both fit one number of two bytes, and so all rows are counted in one pass over them.
    counts = np.bincount(versions.astype(np.uint16) << 8 | algorithms)
    for pair in np.flatnonzero(counts).tolist():
        (version, algorithm), times = divmod(pair, 256), int(counts[pair])
        usage = Usage.SM4_TAC_ROOT if algorithm == _NATIONAL[0] else Usage.TAC_ROOT
        if box.keys.find(usage, version) is not None:
            box.uses.count(f"{usage} {version or box.keys.newest(usage)}", times)


_KEYS: Fields = (("version", 1), ("algorithm", 1), ("issuer", 8), ("card", 8))
_DEAL: Fields = (("amount", 4), ("kind", 1), ("terminal", 6))
_MOMENT: Fields = (("date", 4), ("time", 3))
_SESSION: Fields = (("rnd", 4), ("counter", 2))
_SEQUENCE: Fields = (("terminal_sequence", 4),)
_VERSION: Fields = (("version", 1),)
# Fields that say themselves how long they are; their handlers read them.
_HOST: Fields = (("fields", None),)
_BATCH: Fields = (*_VERSION, ("operator", 8), ("digest", 32))

_MAKES_PURCHASE = Use(Usage.PURCHASE_ROOT, generates=True, by_algorithm={_NATIONAL: Usage.SM4_PURCHASE_ROOT})
_CHECKS_PURCHASE = Use(Usage.PURCHASE_ROOT, by_algorithm={_NATIONAL: Usage.SM4_PURCHASE_ROOT})
_MAKES_LOAD = Use(Usage.LOAD_ROOT, generates=True, by_algorithm={_NATIONAL: Usage.SM4_LOAD_ROOT})
_CHECKS_TAC = Use(Usage.TAC_ROOT, by_algorithm={_NATIONAL: Usage.SM4_TAC_ROOT})
_TRANSPORTS = Use(Usage.TRANSPORT, generates=True, version_field="transport_version")
_OPENS_BLOCK = Use(Usage.WORKING, version_field=None)
_MAKES_TAC_KEY = Use(Usage.TAC_ROOT, generates=True, by_algorithm={_NATIONAL: Usage.SM4_TAC_ROOT})
_AUTHENTICATES = Use(
    Usage.AUTHENTICATION_ROOT, generates=True, by_algorithm={_NATIONAL: Usage.SM4_AUTHENTICATION_ROOT}
)
_SIGNATURES = {scheme: one.usage for scheme, one in signatures.SCHEMES.items()}
_PERSONALISES = (_MAKES_PURCHASE, _MAKES_LOAD, _MAKES_TAC_KEY, _TRANSPORTS)

COMMANDS: Mapping[bytes, Command] = MappingProxyType(
    {
        _DIAGNOSTICS: Command((), diagnostics),
        b"B2": Command((("length", 4), ("data", None)), echo),
        b"N0": Command((("count", 3),), random_bytes),
        b"A0": Command(_HOST, host_keys.generate),
        b"A6": Command(_HOST, host_keys.import_key),
        b"A8": Command(_HOST, host_keys.export_key),
        b"BU": Command(_HOST, host_keys.check_value_of),
        b"M6": Command(_HOST, host_macs.generate_mac),
        b"M8": Command(_HOST, host_macs.verify_mac),
        b"CA": Command(_HOST, host_pins.terminal_to_zone),
        b"CC": Command(_HOST, host_pins.zone_to_zone),
        b"E0": Command((*_KEYS, *_SESSION, *_DEAL, *_MOMENT, *_SEQUENCE), purchase_mac1, (_MAKES_PURCHASE,)),
        b"E2": Command(
            (*_KEYS, *_SESSION, *_SEQUENCE, ("amount", 4), ("mac2", 4)),
            verify_purchase_mac2,
            (_CHECKS_PURCHASE,),
        ),
        b"E4": Command(
            (*_KEYS, *_SESSION, ("balance", 4), *_DEAL, *_MOMENT, ("mac1", 4)), authorise_load, (_MAKES_LOAD,)
        ),
        b"E6": Command(
            (*_KEYS, *_DEAL, *_SEQUENCE, *_MOMENT, ("tac", 4)), verify_purchase_tac, (_CHECKS_TAC,)
        ),
        b"E8": Command(
            (*_KEYS, ("new_balance", 4), ("counter", 2), *_DEAL, *_MOMENT, ("tac", 4)),
            verify_load_tac,
            (_CHECKS_TAC,),
        ),
        b"EA": Command((*_KEYS, ("challenge", 8)), authentication_cryptogram, (_AUTHENTICATES,)),
        b"F0": Command((("table", None),), verify_purchase_tacs),
        b"F2": Command((*_KEYS, ("transport_version", 1)), personalisation_keys, _PERSONALISES),
        b"F4": Command((*_KEYS, ("transport_version", 1)), authentication_key, (_AUTHENTICATES, _TRANSPORTS)),
        b"G0": Command(_BATCH, seals.make_batch_mac, (Use(Usage.BATCH_ROOT, generates=True),)),
        b"G2": Command((*_BATCH, ("mac", 16)), seals.verify_batch_mac, (Use(Usage.BATCH_ROOT),)),
        b"G4": Command(
            (*_VERSION, ("digest", 32)), seals.sign_digest, (Use(Usage.SIGNATURE, generates=True),)
        ),
        b"G6": Command(_VERSION, seals.public_key, (Use(Usage.SIGNATURE),)),
        b"G8": Command(
            (*_VERSION, ("message", None)), seals.sign_message, (Use(Usage.QR_SIGNATURE, generates=True),)
        ),
        b"GA": Command(_VERSION, seals.qr_public_key, (Use(Usage.QR_SIGNATURE),)),
        b"GC": Command(
            (("algorithm", 1), *_VERSION, ("message", None)),
            signatures.sign,
            (Use(Usage.SIGNATURE, generates=True, by_algorithm=_SIGNATURES),),
        ),
        b"GE": Command(
            (("algorithm", 1), *_VERSION),
            signatures.public_key,
            (Use(Usage.SIGNATURE, by_algorithm=_SIGNATURES),),
        ),
        b"H0": Command(_VERSION, data_keys.new_data_key, (Use(Usage.DATA, generates=True),)),
        b"H2": Command((*_VERSION, ("wrapped", 40)), data_keys.open_data_key, (Use(Usage.DATA),)),
        b"I0": Command(
            (*_VERSION, ("terminal", 8)),
            terminal_keys.working_key,
            (
                Use(Usage.TERMINAL_MASTER, generates=True),
                Use(Usage.WORKING, generates=True, version_field=None),
            ),
        ),
        b"I2": Command((("block", 24), ("message", None)), terminal_keys.terminal_mac, (_OPENS_BLOCK,)),
        b"I4": Command(
            (("block", 24), ("mac", 8), ("message", None)), terminal_keys.verify_terminal_mac, (_OPENS_BLOCK,)
        ),
        b"I6": Command(
            (*_VERSION, ("transport_version", 1), ("terminal", 8)),
            terminal_keys.terminal_master_key,
            (Use(Usage.TERMINAL_MASTER, generates=True), _TRANSPORTS),
        ),
    }
)
"""Every command by its two letters; the fields stand in the order of the wire."""
