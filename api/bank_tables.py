"""Tables of what is known of payments and of what people proposed about them."""

from collections.abc import Sequence

from api.listings import Listing, figure, prose
from city.home import CITY_ZONE
from ledger.money import yuan
from settlement.bank.proposals import Proposal
from settlement.bank.story import Told


def told_table(told: Sequence[Told]) -> Listing:
    """What is known, a row each: since when, from where, what."""
    table = Listing("on", "from", prose("what"))
    for one in told:
        table.add(str(one.on or ""), one.source, one.what)
    return table


def proposals_table(found: Sequence[Proposal]) -> Listing:
    """Proposals with what was said to them; a participant's new account stands beside the old one."""
    table = Listing(
        "no",
        prose("proposal"),
        figure("yuan"),
        prose("account"),
        prose("reason"),
        prose("by"),
        prose("state"),
    )
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
        table.add(
            str(one.number), f"{one.decision.replace('_', ' ')} {one.point}", yuan(one.amount_fen), account,
            one.reason, said, ended + why,
        )  # fmt: skip
    return table
