"""What becomes of an arrived file: taken, a repetition, or turned away for the first reason that applies."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from mmap import ACCESS_READ, mmap
from pathlib import Path

from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from clearing.archive import archived
from clearing.at_once import each
from clearing.wire.batch import BatchError, BatchHeader, read_batch
from clearing.wire.frame import MAC_FROM_END, PART_BYTES
from clearing.wire.names import batch_name

NO_SUCH_KEY = "12"
"""The HSM's answer where a file names a key version that it does not hold: the file is at fault."""


class FileRefusal(StrEnum):
    """Why a well-formed file is not taken, in order of precedence, after every BatchFlaw."""

    OPERATOR_UNKNOWN = "operator_unknown"
    MAC_WRONG = "mac_wrong"
    NAME_DIFFERS = "name_differs"
    NUMBER_TAKEN = "number_taken"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file found in the inbox, kept in the archive under its digest; `sealed` as in Kept."""

    name: str
    digest: str
    sealed: bytes | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A file registered as a batch."""

    arrival: Arrival
    header: BatchHeader


@dataclass(frozen=True, slots=True)
class Repeated:
    """A file whose content is registered already; acknowledged, and nothing changes."""

    arrival: Arrival


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file turned away: `offset` is None where the flaw has no place in the file."""

    arrival: Arrival
    flaw: str
    offset: int | None
    message: str
    remedy: str


Outcome = Taken | Repeated | Rejected


@dataclass(frozen=True, slots=True)
class Registered:
    """What was registered before: digests by (operator, sequence), which are cleared, known operators."""

    digests: dict[tuple[str, int], str]
    uncleared: list[tuple[str, int]]
    operators: set[str]


def decide(
    arrivals: Sequence[Arrival], before: Registered, hsm: Hsm, archive: Path, told: Callable[[int], None]
) -> list[Outcome]:
    """What becomes of each file, read from the archive; the result does not depend on the order of the files.

    `told` hears how many have been looked at. Raises HsmError where the HSM cannot be asked.
    """
    digests = dict(before.digests)
    outcomes: dict[str, Outcome] = {}
    held = set(digests.values())

    def looked_at(arrival: Arrival) -> Sealed | Outcome:
        return Repeated(arrival) if arrival.digest in held else _frame(archive, arrival)

    in_order = sorted(arrivals, key=lambda arrival: arrival.name)
    for done, (arrival, found) in enumerate(each(in_order, looked_at), 1):
        outcome = (
            refusal_of(arrival, found, digests, before.operators, hsm) or Taken(arrival, found.header)
            if isinstance(found, Sealed)
            else found
        )
        if isinstance(outcome, Taken):
            digests[batch_key(outcome.header)] = arrival.digest
        outcomes[arrival.name] = outcome
        told(done)
    # A copy under a wrong name is a repetition even where its name sorts before the right one.
    held |= set(digests.values())
    return [
        Repeated(arrival)
        if arrival.digest in held and not isinstance(outcomes[arrival.name], Taken)
        else outcomes[arrival.name]
        for arrival in arrivals
    ]


def batch_key(header: BatchHeader) -> tuple[str, int]:
    """Operator and sequence: what a batch is known by."""
    return header.operator, header.sequence


@contextmanager
def _mapped(path: Path) -> Iterator[bytes | memoryview]:
    """A file's bytes without reading them into memory; one that is empty cannot be mapped."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            yield b""
            return
        with mmap(file.fileno(), 0, access=ACCESS_READ) as content, memoryview(content) as view:
            yield view


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file whose frame holds: its header, what its MAC is over, the MAC and its byte, and how its kind is named."""

    header: BatchHeader
    digest: bytes
    mac: bytes
    mac_at: int
    name: Callable[[str, int], str]


def _frame(archive: Path, arrival: Arrival) -> Sealed | Rejected:
    """What a file's frame says, or what is wrong with it."""
    with _mapped(archived(archive, arrival.digest)) as content:
        try:
            batch = read_batch(content, arrival.sealed)
        except BatchError as error:
            return Rejected(arrival, error.flaw.value, error.offset, str(error), error.remedy)
        with batch.records:
            mac_at = 2 * PART_BYTES + batch.records.nbytes - MAC_FROM_END
        return Sealed(batch.header, batch.digest, batch.mac, mac_at, batch_name)


def refusal_of(
    arrival: Arrival, file: Sealed, digests: Mapping[tuple[str, int], str], known: Collection[str], hsm: Hsm
) -> Rejected | None:
    """The first refusal that applies to a well-formed file, or None. Raises HsmError where the HSM cannot be asked.

    `digests` are those of the files taken before, `known` the senders that there are.
    """
    header = file.header
    sender, number, expected = header.operator, header.sequence, file.name(header.operator, header.sequence)
    if sender not in known:
        flaw, offset = FileRefusal.OPERATOR_UNKNOWN, 4
        message = f"{sender} has no registered device and is no other city's centre"
        remedy = "register its devices, or the centre, then send it again"
    elif not mac_holds(hsm, header, file.digest, file.mac):
        flaw, offset = FileRefusal.MAC_WRONG, file.mac_at
        message = f"the MAC does not hold under version {header.mac_key_version} of {sender}'s key"
        remedy = "make it with the sender's own key"
    elif arrival.name != expected:
        message = f"the file is named {arrival.name}, but its header says {expected}"
        return Rejected(arrival, FileRefusal.NAME_DIFFERS.value, None, message, f"name it {expected}")
    elif (taken_by := digests.get((sender, number))) is not None:
        flaw, offset = FileRefusal.NUMBER_TAKEN, 12
        message = f"number {number} of {sender} is {taken_by}, this file is {arrival.digest}"
        remedy = "find out which is right; send what is new under a new number"
    else:
        return None
    return Rejected(arrival, flaw.value, offset, message, remedy)


def mac_holds(hsm: Hsm, header: BatchHeader, digest: bytes, mac: bytes) -> bool:
    """Whether the MAC over a batch's digest is its operator's; not where the file names a key that is none.

    Raises HsmError where the HSM cannot be asked.
    """
    try:
        return hsm.verify_batch_mac(header.operator, digest, mac, header.mac_key_version)
    except HsmError as error:
        if error.code == NO_SUCH_KEY:
            return False
        raise
