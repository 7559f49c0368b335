"""`onecard suspense`: taps whose money waits, listed with their age, and decided by two people."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import typer
from sqlalchemy import Engine

from api.doors import Refused, books, console, now, settings
from api.listings import Listing, figure, prose
from api.queue_commands import By, named, today
from api.two_people_commands import Deciding, deciding_commands
from city.home import CITY_ZONE
from clearing.proposals import (
    Asked,
    Decision,
    Proposal,
    ProposalRefused,
    State,
    Target,
    proposal_of,
    proposals,
)
from clearing.suspense import SuspendedGroup, SuspendedTap, suspended_groups, suspended_taps
from clearing.verdict import MONEY, Money, Verdict
from clearing.wording import taps_in_words
from ledger.db import reading, writing
from ledger.money import read_yuan, yuan
from settlement import suspense_decisions
from settlement.two_people import DecisionRefused, Word

SUSPENDING: Final = [verdict.value for verdict in Verdict if MONEY[verdict] is Money.SUSPENDED]

_PLACE: Final = re.compile(r"([0-9]{1,8}):([0-9]{1,9})")


Number = Annotated[
    int, typer.Argument(help="the proposal's number, as `onecard suspense proposals` shows it")
]
OfOperator = Annotated[str | None, typer.Option("--operator", help="only this operator's, such as BUS-1")]
OfVerdict = Annotated[
    str | None, typer.Option("--verdict", help=f"only of this verdict: {', '.join(SUSPENDING)}")
]
Day = Annotated[
    datetime | None,
    typer.Option(
        "--presented", formats=["%Y-%m-%d"], help="the night they first came before, with --verdict"
    ),
]


def list_suspended(
    operator: OfOperator = None,
    verdict: OfVerdict = None,
    min_age: Annotated[int, typer.Option("--min-age", min=0, help="only what is so many days old")] = 0,
    taps: Annotated[bool, typer.Option("--taps", help="every tap, with the place to propose it by")] = False,
) -> None:
    """List what is in suspense, the oldest first, by operator, verdict and day, or tap by tap, with what is proposed.

    Beside what waits stands the proposal's number, or how many taps of the group wait in several.
    """
    wanted, day = _verdict(verdict), today()
    with books() as engine, reading(engine) as conn:
        groups = suspended_groups(conn, day, operator=operator, verdict=wanted)
        singly = suspended_taps(conn, day, operator=operator, verdict=wanted) if taps else []
    groups = [one for one in groups if one.age_days >= min_age]
    if not groups:
        console.print("No tap is in suspense." if _is_all(operator, verdict, min_age) else "No such tap is.")
        return
    if taps:
        _show_taps([one for one in singly if one.age_days >= min_age])
    else:
        _show_groups(groups)
    count, amount_fen = sum(one.taps for one in groups), sum(one.amount_fen for one in groups)
    console.print(
        f"{taps_in_words(count)} of {yuan(amount_fen)} yuan {'is' if count == 1 else 'are'} in suspense",
        highlight=False,
    )


def propose_decision(
    decision: Annotated[Decision, typer.Argument(help="pay, or reject")],
    operator: Annotated[str, typer.Argument(help="whose taps, such as BUS-1")],
    reason: Annotated[str, typer.Option("--reason", help="why; kept, and stands beside each tap")],
    by: By,
    tap: Annotated[
        str | None, typer.Option("--tap", help="one tap, as SEQUENCE:POSITION from `list --taps`")
    ] = None,
    verdict: OfVerdict = None,
    presented: Day = None,
    amount: Annotated[
        str | None,
        typer.Option(
            "--yuan", help="what one tap is paid; default: what it shows, or the tariff's price if lower"
        ),
    ] = None,
) -> None:
    """Propose to pay or reject one tap (--tap), or all of an operator's --verdict and --presented day."""
    asked = Asked(
        _target(operator, tap, verdict, presented), decision, reason, named(by), now(), _fen(amount)
    )
    with books() as engine, writing(engine) as conn:
        made = suspense_decisions.propose(conn, asked)
    if isinstance(made, ProposalRefused):
        raise Refused(f"{made.message}; {made.remedy}")
    _say(made, "waits for a second person")


def list_proposals(
    done_too: Annotated[bool, typer.Option("--done-too", help="also what was decided")] = False,
) -> None:
    """List the proposals that wait for a second person."""
    with books() as engine, reading(engine) as conn:
        found = proposals(conn, done_too=done_too)
    if not found:
        console.print("No proposal waits for anybody." if not done_too else "Nobody has proposed anything.")
        return
    table = Listing(
        figure("no"), prose("proposal"), figure("taps"), figure("shown yuan"), figure("paid yuan"), prose("reason"),
        prose("by"), prose("state"),
    )  # fmt: skip
    for one in found:
        what = f"{one.decision} {one.operator} {one.verdict}"
        amounts = (f"{one.taps:,}", yuan(one.amount_fen), yuan(one.paid_fen))
        said = f"{one.proposed_by}, {one.proposed_at.astimezone(CITY_ZONE):%Y-%m-%d %H:%M}"
        table.add(str(one.number), what, *amounts, one.reason, said, _stands(one))
    console.print(table)


def show(number: Number) -> None:
    """Show one proposal: who, when and why, and what was said to it."""
    with books() as engine, reading(engine) as conn:
        found = proposal_of(conn, number)
    if found is None:
        raise Refused(f"no proposal has number {number}; `onecard suspense proposals` names them")
    _say(found, _stands(found))
    said = f"Proposed by {found.proposed_by}, {found.proposed_at.astimezone(CITY_ZONE):%Y-%m-%d %H:%M}"
    console.print(f"{said}: {found.reason}", soft_wrap=True, highlight=False)


def _approve(engine: Engine, word: Word) -> Proposal | DecisionRefused:
    from settlement.suspense_approval import approve  # it books, which takes long to load

    return approve(engine, word, nights=settings().city_home().nights)


def _say(one: Proposal, stands: str) -> None:
    what = f"{one.decision} {taps_in_words(one.taps)} of {one.operator} in suspense as {one.verdict}"
    amounts = f"{yuan(one.paid_fen)} of {yuan(one.amount_fen)} yuan"
    console.print(f"Proposal {one.number}, {what}, {amounts}: {stands}", soft_wrap=True, highlight=False)


def _stands(one: Proposal) -> str:
    if one.state is State.PROPOSED:
        return "waits for a second person"
    on = f", on {one.business_date}" if one.business_date else ""
    why = f": {one.decided_why}" if one.decided_why else ""
    return f"{one.state.replace('_', ' ')} by {one.decided_by}{on}{why}"


def _show_groups(groups: Sequence[SuspendedGroup]) -> None:
    table = Listing(
        "operator",
        "verdict",
        "first presented",
        figure("age days"),
        figure("taps"),
        figure("yuan"),
        "proposal",
    )
    for one in groups:
        since, age = str(one.presented_on), str(one.age_days)
        waits = f"{one.proposed:,} of {taps_in_words(one.taps)}" if one.proposed else ""
        if one.proposal is not None:
            waits = str(one.proposal)
        what = (one.operator, one.verdict, since, age)
        table.add(*what, f"{one.taps:,}", yuan(one.amount_fen), waits)
    console.print(table)


def _show_taps(taps: Sequence[SuspendedTap]) -> None:
    table = Listing(
        "operator", "tap", "verdict", "card", figure("counter"), "terminal", "first presented", figure("age days"),
        figure("yuan"), figure("proposal"),
    )  # fmt: skip
    for one in taps:
        place, since = f"{one.sequence}:{one.position}", str(one.presented_on)
        what = (one.operator, place, one.verdict, one.card_no, str(one.counter), one.terminal)
        waits = "" if one.proposal is None else str(one.proposal)
        table.add(*what, since, str(one.age_days), yuan(one.amount_fen), waits)
    console.print(table)


def _is_all(operator: str | None, verdict: str | None, min_age: int) -> bool:
    return operator is None and verdict is None and not min_age


def _verdict(word: str | None) -> Verdict | None:
    if word is None:
        return None
    if word not in SUSPENDING:
        raise Refused(f"--verdict {word!r} suspends no tap; give one of {', '.join(SUSPENDING)}")
    return Verdict(word)


def _target(operator: str, tap: str | None, verdict: str | None, presented: datetime | None) -> Target:
    if tap is None:
        if verdict is None or presented is None:
            raise Refused("neither a tap nor a group is named; give --tap, or --verdict and --presented")
        return Target(operator, verdict=_verdict(verdict), presented_on=presented.date())
    if verdict is not None or presented is not None:
        raise Refused(f"--tap {tap} names one tap already; leave --verdict and --presented out")
    place = _PLACE.fullmatch(tap)
    if place is None:
        raise Refused(f"--tap {tap!r} is no place; give SEQUENCE:POSITION, as `list --taps` shows it")
    return Target(operator, int(place[1]), int(place[2]))


def _fen(amount: str | None) -> int | None:
    if amount is None:
        return None
    fen = read_yuan(amount)
    if fen is None:
        raise Refused(f"--yuan {amount!r} is no amount; give yuan and fen, such as 1.60")
    return fen


approve, refuse, withdraw = deciding_commands(
    Deciding(
        approve=_approve,
        turn_down=suspense_decisions.turn_down,
        withdraw=suspense_decisions.withdraw,
        say=lambda _engine, done: _say(done, _stands(done)),
        approved="it is carried out at once, on the open day, between two nights",
        stays="its taps stay in suspense, and may be proposed again",
    ),
)
