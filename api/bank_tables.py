"""Tables of what is known of payments and of what people proposed about them."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from city.home import CITY_ZONE
from ledger.money import yuan
from settlement.bank.proposals import Proposal
from settlement.bank.story import Told


def told_table(told: Sequence[Told]) -> Table:
    """What is known, a row each: since when, from where, what."""
    table = _folding("on", "from", "what")
    for one in told:
        table.add_row(str(one.on or ""), escape(one.source), escape(one.what))
    return table


def proposals_table(found: Sequence[Proposal]) -> Table:
    """Proposals with what was said to them; a participant's new account stands beside the old one."""
    table = _folding("no", "proposal", "yuan", "account", "reason", "by", "state")
    for one in found:
        account = one.account or one.other
        if one.account_no != one.account_no_before:
            account = f"{one.account_no} at {one.bank_code}, before {one.account_no_before} at {one.bank_code_before}"
        ended = (
            f"{one.state.replace('_', ' ')} by {one.decided_by}"
            if one.decided_by
            else "waits for a second person"
        )
        why = f": {one.decided_why}" if one.decided_why else ""
        said = f"{one.proposed_by}, {one.proposed_at.astimezone(CITY_ZONE):%Y-%m-%d %H:%M}"
        table.add_row(
            str(one.number), f"{one.decision.replace('_', ' ')} {one.point}", yuan(one.amount_fen), escape(account),
            escape(one.reason), escape(said), escape(ended + why),
        )  # fmt: skip
    return table


def _folding(*headings: str) -> Table:
    """A table that cuts nothing short: an id, an account or a digest of which the end is missing is none."""
    table = Table(*headings)
    for column in table.columns:
        column.overflow = "fold"
    return table
