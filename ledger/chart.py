"""The chart of accounts: the kind and limit that the first part of a code gives an account."""

from ledger.accounts import Account, Kind, Limit, segment_of

_CHART: dict[str, tuple[Kind, Limit]] = {
    "bank": (Kind.ASSET, Limit.NONE),  # reserve: the customers' money (备付金); own: the company's
    "agent": (Kind.ASSET, Limit.NONE),
    "fund": (Kind.ASSET, Limit.NONE),
    "city": (Kind.ASSET, Limit.NONE),
    "suspense": (Kind.ASSET, Limit.NONE),
    "purse": (Kind.LIABILITY, Limit.NO_DEBIT_BALANCE),
    "wallet": (Kind.LIABILITY, Limit.NO_DEBIT_BALANCE),
    "medical": (Kind.LIABILITY, Limit.NO_DEBIT_BALANCE),
    "subsidy": (Kind.LIABILITY, Limit.NO_DEBIT_BALANCE),
    "load": (Kind.LIABILITY, Limit.NO_DEBIT_BALANCE),
    "deposit": (Kind.LIABILITY, Limit.NO_DEBIT_BALANCE),
    # Refunds may exceed a participant's takings of a cycle: then the participant owes us.
    "clearing": (Kind.LIABILITY, Limit.NONE),
    "payable": (Kind.LIABILITY, Limit.NONE),
    "income": (Kind.INCOME, Limit.NONE),
    "expense": (Kind.EXPENSE, Limit.NONE),
    "equity": (Kind.EQUITY, Limit.NONE),
}

STANDING = ("bank", "equity", "expense", "income", "suspense")
"""Segments whose every account is a line of the trial balance; the others are one line a segment."""


def account(code: str, owner: str = "") -> Account:
    """Define the account of a code. Raises ValueError when its first part is not in the chart."""
    row = _CHART.get(segment_of(code))
    if row is None:
        raise ValueError(
            f"account code {code!r} is not of the chart; start it with one of {', '.join(sorted(_CHART))}"
        )
    kind, limit = row
    return Account(code, kind, limit, owner)
