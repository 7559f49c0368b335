"""The names that batch files travel under."""

SUFFIX = ".ocb"
"""That of operators' taps."""


def file_name(operator: str, sequence: int, suffix: str) -> str:
    """Whose file it is, and its number."""
    return f"{operator}-{sequence:08d}{suffix}"


def batch_name(operator: str, sequence: int) -> str:
    """The name of an operator's batch of taps, as `METRO-1-00000042.ocb`."""
    return file_name(operator, sequence, SUFFIX)
