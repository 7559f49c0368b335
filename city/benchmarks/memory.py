"""How much memory a process has held at most."""

from pathlib import Path


def peak_kib(process: int | str = "self") -> int:
    """A program's own peak; `getrusage` would count what the parent held before the exec."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def children_of(process: int) -> list[int]:
    """The numbers of the processes that a process has started and that still run."""
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
