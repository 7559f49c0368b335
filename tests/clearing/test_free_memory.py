"""What is free goes back to the system, also where something that is still held lies behind it."""

from pathlib import Path

from clearing.free_memory import give_back

EACH_BYTES, MANY = 4_000, 20_000
"""Too large for Python's own pools, too small for a mapping each: they come from the C library's heap."""


def held_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon:")).split()[1])


def test_freed_memory_goes_back_though_what_came_after_it_is_held() -> None:
    held = [bytes(EACH_BYTES).replace(b"\0", b"\1") for _ in range(MANY)]
    last = held.pop()
    del held
    freed = held_kib()
    give_back()
    assert freed - held_kib() > EACH_BYTES * MANY // 1024 // 2
    assert len(last) == EACH_BYTES
