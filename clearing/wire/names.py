"""The names that batch files travel under."""

SUFFIX = ".ocb"
QR_SUFFIX = ".oqb"
"""Those of operators' taps, and of rides on riders' codes."""


def file_name(operator: str, sequence: int, suffix: str) -> str:
    """Whose file it is, and its number."""
    return f"{operator}-{sequence:08d}{suffix}"


def batch_name(operator: str, sequence: int) -> str:
    """The name of an operator's batch of taps, as `METRO-1-00000042.ocb`."""
    return file_name(operator, sequence, SUFFIX)


def qr_batch_name(operator: str, sequence: int) -> str:
    """The name of an operator's batch of rides on codes, as `BUS-1-00000042.oqb`."""
    return file_name(operator, sequence, QR_SUFFIX)
