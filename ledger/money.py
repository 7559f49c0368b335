"""Fen, and the one place where an amount is split and so rounded."""

import re
from collections.abc import Sequence

_YUAN = re.compile(r"([0-9]{1,10})(?:[.]([0-9]{1,2}))?")


def split_fen(amount_fen: int, weights: Sequence[int]) -> list[int]:
    """Split an amount in proportion to `weights`, so that the parts sum to the whole.

    Every part is within one fen of its exact share; fen left over go to the largest remainders, and
    among equals to the earlier part. Negative amounts mirror positive ones.
    Raises ValueError where no weight is positive or one is negative.
    """
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise ValueError(f"weights {list(weights)} must not be negative and need one above zero")
    if amount_fen < 0:
        return [-part for part in split_fen(-amount_fen, weights)]
    parts, remainders = [], []
    for position, weight in enumerate(weights):
        whole, remainder = divmod(amount_fen * weight, total)
        parts.append(whole)
        remainders.append((-remainder, position))
    for _, position in sorted(remainders)[: amount_fen - sum(parts)]:
        parts[position] += 1
    return parts


def yuan(amount_fen: int) -> str:
    """Write fen as yuan with two digits: 123456 → `1,234.56`, -5 → `-0.05`."""
    sign = "-" if amount_fen < 0 else ""
    whole, rest = divmod(abs(amount_fen), 100)
    return f"{sign}{whole:,}.{rest:02d}"


def read_yuan(text: str) -> int | None:
    """Read yuan as people write them, in fen: `1,234.5` → 123450; None where it is no amount to the fen."""
    match = _YUAN.fullmatch(text.strip().removeprefix("¥").strip().replace(",", ""))
    return None if match is None else int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
