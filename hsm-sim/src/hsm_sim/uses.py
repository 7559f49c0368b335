"""How often each key was used: counted at once in memory, told to the audit log now and then."""

from collections import Counter
from collections.abc import Mapping


class UseTally:
    """Uses of each key since they were last taken, by the key's name; failed verifications are counted beside."""

    def __init__(self) -> None:
        self._uses: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def count(self, key: str, times: int = 1, *, failed: bool = False) -> None:
        """One key was used; `failed` where what it was to verify or open did not hold."""
        self._uses[key] += times
        if failed:
            self._failed[key] += times

    def take(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Uses and failures since the last time; counting begins anew."""
        taken = self._uses, self._failed
        self._uses, self._failed = Counter(), Counter()
        return taken

    def put_back(self, taken: tuple[Mapping[str, int], Mapping[str, int]]) -> None:
        """Add again what was taken and could not be told."""
        self._uses.update(taken[0])
        self._failed.update(taken[1])
