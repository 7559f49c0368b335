"""Several HSMs with the same keys as one: who is asked, who instead, and who is left alone for a while."""

import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock

from card.hsm.addresses import Address
from card.hsm.circuit import ANSWERED, Circuit, Phase
from card.hsm.codec import Answer
from card.hsm.errors import HsmError
from card.hsm.pool import Broken, Pool, Requests
from card.hsm.repeats import REPEATS

ALARM = "13"
"""What an HSM answers that was tampered with: it has no keys, and another may have them."""
PROBE_S = 0.25
"""How long a request waits to hear whether an HSM is back, before it goes to another that is there."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand with one HSM: failures in a row, and for how long it is left alone because of them."""

    address: Address
    failures: int
    rest_s: float

    def __str__(self) -> str:
        times = "once" if self.failures == 1 else f"{self.failures} times in a row"
        return f"{self.address} has failed {times} and is left alone for {self.rest_s:.1f} s more"


@dataclass(slots=True)
class _Member:
    address: Address
    pool: Pool
    circuit: Circuit = ANSWERED
    lock: Lock = field(default_factory=Lock)


class Failover:
    """Asks the first HSM that can be asked, in the order given; safe to use from many threads.

    One that fails rests, longer each time, and the others are asked in its place. When its rest is over, a
    request that has another to go to first has NC answered; one that has not is itself the probe.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        timeout_s: float,
        connections: int,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._members = [
            _Member(address, Pool(address, timeout_s, connections, tls)) for address in addresses
        ]
        self._timeout_s = timeout_s
        self._clock = clock
        self._closed = False

    def exchange(self, command: str, requests: Requests, extra_s: float = 0.0) -> list[Answer]:
        """Answers in order. `extra_s` is what the work itself may take beyond the time-out.

        Raises HsmError with the HSM's code for the first request refused; `unreachable` where no HSM
        answered, with what became of each; `garbled` where all that answer are no HSMs; `lost` where one
        may have done what must not be done twice.
        """
        if self._closed:
            raise HsmError(command, "unreachable", "this client has been closed")
        answers: list[Answer] = []
        troubles: list[str] = []
        codes: set[str] = set()
        for member in self._in_turn(troubles):
            try:
                self._ask(member, command, requests, answers, self._timeout_s + extra_s)
                return answers
            except Broken as broken:
                troubles.append(f"{member.address}: {broken}")
                codes.add(broken.code)
                if broken.asked and command not in REPEATS:
                    raise HsmError(command, "lost", troubles[-1]) from broken
        raise HsmError(command, codes.pop() if len(codes) == 1 else "unreachable", "; ".join(troubles))

    def standings(self) -> list[Standing]:
        """How things stand with each HSM, in the order in which they are asked."""
        now_s = self._clock()
        return [
            Standing(member.address, member.circuit.failures, member.circuit.rest_s(now_s))
            for member in self._members
        ]

    def close(self) -> None:
        """Hang up; nothing can be asked any more."""
        self._closed = True
        for member in self._members:
            member.pool.close()

    def _in_turn(self, troubles: list[str]) -> Iterator[_Member]:
        """Who is to be asked, one after another: those in good standing or back again, then the shaky ones."""
        shaky: list[_Member] = []
        for at, member in enumerate(self._members):
            phase = self._claimed(member)
            if phase is Phase.CLOSED:
                yield member
            elif phase is Phase.HALF_OPEN:
                others = self._members[:at] + self._members[at + 1 :]
                if not self._one_is_closed(others) or self._is_back(member, troubles):
                    yield member
            elif phase is Phase.SHAKY:
                shaky.append(member)
            else:
                troubles.append(str(self.standings()[at]))
        yield from shaky

    def _claimed(self, member: _Member) -> Phase:
        """What may be asked of an HSM; whoever finds it half-open is the one who tries it."""
        now_s = self._clock()
        with member.lock:
            phase = member.circuit.phase(now_s)
            if phase is Phase.HALF_OPEN:
                member.circuit = member.circuit.tried(now_s)
        return phase

    def _one_is_closed(self, members: Sequence[_Member]) -> bool:
        now_s = self._clock()
        return any(member.circuit.phase(now_s) is Phase.CLOSED for member in members)

    def _is_back(self, member: _Member, troubles: list[str]) -> bool:
        try:
            self._ask(member, "NC", lambda: (b"",), [], min(PROBE_S, self._timeout_s))
        except (Broken, HsmError) as broken:
            troubles.append(f"{member.address}: {broken}")
            return False
        return True

    def _ask(
        self, member: _Member, command: str, requests: Requests, answers: list[Answer], timeout_s: float
    ) -> None:
        """Ask one HSM, and remember how that went. Raises Broken, or HsmError for what it refused."""
        known = member.circuit.failures
        with member.pool.slot(timeout_s):
            if member.circuit.failures > known and len(self._members) > 1:
                raise Broken("it failed while this waited for a connection", asked=False)
            try:
                again = command in REPEATS
                member.pool.exchange(command, requests, answers, timeout_s=timeout_s, again=again)
            except Broken:
                self._note(member, known, failed=True)
                raise
            except HsmError as error:
                self._note(member, known, failed=error.code == ALARM)
                if error.code == ALARM:
                    raise Broken(error.detail or "it is in alarm", asked=False, code=ALARM) from error
                raise
            self._note(member, known, failed=False)

    def _note(self, member: _Member, known: int, *, failed: bool) -> None:
        """Remember how a request went that set out when `known` failures were known."""
        # An HSM in good standing that answers, as nearly all do, costs no lock.
        if not failed and not member.circuit.failures:
            return
        with member.lock:
            # Requests that were under way together fail together, of one cause: that is one failure.
            if not failed:
                member.circuit = ANSWERED
            elif member.circuit.failures <= known or member.circuit.trying:
                member.circuit = member.circuit.failed(self._clock())
