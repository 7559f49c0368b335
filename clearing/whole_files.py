"""Files that are taken in whole, as batches of rides on codes and centres' results are: few enough to be read at once.

Each kind lies in a folder of its own below the inbox, and its acknowledgements in `acks` there.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from card.hsm.client import Hsm
from clearing.archive import keep
from clearing.arrivals import Arrival, Rejected, Repeated, Sealed, batch_key, refusal_of
from clearing.context import Night
from clearing.intake import pending_files
from clearing.receipts import receipt_for, write_answer
from clearing.wire.batch import BatchError, BatchHeader
from clearing.wire.frame import MAC_FROM_END


class Framed(Protocol):
    """A file whose form, checksum and totals hold. Whether `mac` over `digest` holds, the HSM must say."""

    @property
    def header(self) -> BatchHeader:
        """Whose it is, its number, count and total."""

    @property
    def digest(self) -> bytes:
        """What the MAC is over."""

    @property
    def mac(self) -> bytes:
        """The sender's MAC."""


File = TypeVar("File", bound=Framed)


@dataclass(frozen=True, slots=True)
class Form(Generic[File]):
    """A kind of files: the folder below the inbox, how one is read (raises BatchError) and what it is called."""

    folder: str
    read: Callable[[bytes], File]
    name: Callable[[str, int], str]

    def inbox(self, inbox: Path) -> Path:
        """Where such files lie until a night has dealt with them."""
        return inbox / self.folder


@dataclass(frozen=True, slots=True)
class TakenWhole(Generic[File]):
    """A file that is taken."""

    arrival: Arrival
    file: File


WholeOutcome = TakenWhole[File] | Repeated | Rejected


def collect_whole(
    form: Form[File], night: Night, held: Mapping[tuple[str, int], str], known: Collection[str]
) -> list[WholeOutcome[File]]:
    """Keep every file of the inbox in the archive, decide what becomes of it, by name, and tell its sender.

    `held` are the digests of the files taken before, by sender and number; `known` the senders that there are. Raises
    HsmError where the HSM cannot be asked; then nobody is told anything.
    """
    arrivals = []
    for path in pending_files(form.inbox(night.inbox)):
        content = path.read_bytes()
        arrivals.append((Arrival(path.name, keep(night.archive, content)), content))
    outcomes = decide_whole(form, arrivals, held, known, night.hsm)
    for outcome in outcomes:
        # The archive holds the file by now, so its sender may forget what is accepted.
        name = f"{outcome.arrival.name}.ack"
        write_answer(form.inbox(night.inbox) / "acks" / name, receipt_for(outcome.arrival, outcome))
    return outcomes


def decide_whole(
    form: Form[File],
    arrivals: Sequence[tuple[Arrival, bytes]],
    held: Mapping[tuple[str, int], str],
    known: Collection[str],
    hsm: Hsm,
) -> list[WholeOutcome[File]]:
    """What becomes of each file, in the order of names; copies of a file that is taken are repetitions."""
    digests = dict(held)
    judged: list[WholeOutcome[File]] = []
    for arrival, content in sorted(arrivals, key=lambda one: one[0].name):
        outcome = _judge(form, arrival, content, digests, known, hsm)
        if isinstance(outcome, TakenWhole):
            digests[batch_key(outcome.file.header)] = arrival.digest
        judged.append(outcome)
    taken = set(digests.values())
    return [
        Repeated(outcome.arrival)
        if outcome.arrival.digest in taken and not isinstance(outcome, TakenWhole)
        else outcome
        for outcome in judged
    ]


def clear_whole(
    form: Form[File], inbox: Path, held: Collection[str], away: Collection[tuple[str, str]]
) -> int:
    """Remove the files that a committed night has dealt with, and say how many; the archive keeps them.

    `held` are the digests of what was taken, `away` the names and digests of what was turned away.
    """
    removed = 0
    for path in pending_files(form.inbox(inbox)):
        digest = sha256(path.read_bytes()).hexdigest()
        if digest in held or (path.name, digest) in away:
            path.unlink()
            removed += 1
    return removed


def _judge(
    form: Form[File],
    arrival: Arrival,
    content: bytes,
    digests: Mapping[tuple[str, int], str],
    known: Collection[str],
    hsm: Hsm,
) -> WholeOutcome[File]:
    if arrival.digest in digests.values():
        return Repeated(arrival)
    try:
        file = form.read(content)
    except BatchError as error:
        return Rejected(arrival, error.flaw.value, error.offset, str(error), error.remedy)
    mac_at = len(content) - MAC_FROM_END
    sealed = Sealed(file.header, file.digest, file.mac, mac_at, form.name)
    return refusal_of(arrival, sealed, digests, known, hsm) or TakenWhole(arrival, file)
