"""What a running HSM tells its audit log: refusals as they happen, uses of keys summed up, acts at once."""

from collections import Counter
from collections.abc import Mapping

from hsm_sim.audit import AuditLog, Fact
from hsm_sim.uses import UseTally
from hsm_sim.wire import ErrorCode

NAMES_A_LINE = 200

Refusal = tuple[str, str, ErrorCode]


class Journal:
    """Keeps the log from growing faster than it tells something.

    The first refusal of a kind, that is of one client, command and code, is a line at once. Its repetitions are
    counted, and are a line when the journal is flushed. So nobody can fill the disk by asking wrongly.
    """

    def __init__(self, log: AuditLog, uses: UseTally) -> None:
        self.log = log
        self._uses = uses
        self._refusals: Counter[Refusal] = Counter()

    def refused(self, client: str, command: bytes, code: ErrorCode) -> None:
        """A request was refused. Raises OSError where that cannot be written down."""
        refusal = (client, command.decode("ascii", errors="backslashreplace"), code)
        if refusal not in self._refusals:
            self._tell_refusal(refusal, 1)
        self._refusals[refusal] += 1

    def act(self, event: str, **facts: Fact) -> None:
        """An administrative act; on the disk when this returns. Raises OSError."""
        self.log.act(event, **facts)

    def flush(self) -> None:
        """Write down what was counted. Raises OSError where it cannot be; it is then counted on."""
        while self._refusals:
            refusal, times = next(iter(self._refusals.items()))
            if times > 1:
                self._tell_refusal(refusal, times - 1)
            del self._refusals[refusal]
        taken = self._uses.take()
        try:
            self._tell_uses(*taken)
        except OSError:
            self._uses.put_back(taken)
            raise

    def _tell_refusal(self, refusal: Refusal, times: int) -> None:
        client, command, code = refusal
        self.log.tell("refused", client=client, command=command, error=str(code), times=times)

    def _tell_uses(self, uses: Mapping[str, int], failed: Mapping[str, int]) -> None:
        names = sorted(uses)
        for start in range(0, len(names), NAMES_A_LINE):
            part = names[start : start + NAMES_A_LINE]
            facts: dict[str, Fact] = {"uses": {name: uses[name] for name in part}}
            if wrong := {name: failed[name] for name in part if name in failed}:
                facts["failed"] = wrong
            self.log.tell("keys used", **facts)
