"""What needs two operators' word first, and how long that word holds."""

import re
from dataclasses import dataclass

from hsm_sim.wire import Request

LONGEST_S = 24 * 3600

_UNIT_S = {"s": 1, "m": 60, "h": 3600}
_ALWAYS = frozenset((b"A6", b"A8", b"F2", b"F4", b"I6"))
_EXPORTS = b"1"


@dataclass(frozen=True, slots=True)
class Authority:
    """Two operators' word, good until a moment of the monotonic clock. It does not outlive the process."""

    operators: tuple[str, str]
    until_s: float

    def holds(self, now_s: float) -> bool:
        """Whether it is still good."""
        return now_s < self.until_s


def needs_authority(request: Request) -> bool:
    """Whether a request imports, exports or personalises: A6, A8, F2, F4, I6, and A0 where it exports at once."""
    return request.command in _ALWAYS or (request.command == b"A0" and request.fields[:1] == _EXPORTS)


def parse_duration(text: str) -> int:
    """Seconds of a text like `90s`, `30m` or `8h`, at most 24 hours. Raises ValueError saying what to give."""
    found = re.fullmatch(r"([0-9]{1,5})([smh])", text)
    seconds = int(found.group(1)) * _UNIT_S[found.group(2)] if found else 0
    if not 0 < seconds <= LONGEST_S:
        raise ValueError(f"{text!r} is no time; give a number and s, m or h, such as 30m, at most 24h")
    return seconds
