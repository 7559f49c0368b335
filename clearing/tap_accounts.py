"""The accounts that the money of taps is booked on."""

from collections.abc import Collection

OVERCHARGE = "suspense:overcharge"
SHORTFALL = "suspense:purse_shortfall"


def owed_account(operator: str, centres: Collection[str]) -> str:
    """The account on which an operator is credited: another city's centre has a position of its own."""
    return f"city:{operator}" if operator in centres else f"clearing:{operator}"
