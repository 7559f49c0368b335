"""`onecard bank`: the bank's files taken, what is open with it listed with its age and resolved by two people."""

from collections.abc import Iterator
from typing import Annotated

import typer
from sqlalchemy import Connection, Engine

from api.bank_tables import proposals_table, told_table
from api.doors import Refused, books, console, now, settings
from api.listings import Listing, figure, prose
from api.queue_commands import By, named, today
from api.two_people_commands import Deciding, deciding_commands
from ledger.db import reading, writing
from ledger.money import yuan
from settlement.bank import decisions
from settlement.bank.points import Point, PointKind, points_of
from settlement.bank.proposals import Asked, Decision, Proposal, ProposalRefused, line_of, proposals, propose
from settlement.bank.store import files_where, statements_where
from settlement.bank.story import Told, decisions_about, instruction_of, line_told, story_of
from settlement.bank.tables import bank_file, bank_statement
from settlement.two_people import DecisionRefused, Word

PointId = Annotated[str, typer.Argument(metavar="ID", help="the point's id, as `onecard bank list` shows it")]
Reason = Annotated[str, typer.Option("--reason", help="why; kept for good")]


def list_points(
    kind: Annotated[PointKind | None, typer.Option("--kind", help="only these")] = None,
    participant: Annotated[
        str | None, typer.Option("--participant", help="only this one's, such as METRO-1")
    ] = None,
    min_age: Annotated[int, typer.Option("--min-age", min=0, help="only what is so many days old")] = 0,
) -> None:
    """List what is open with the bank, the oldest first: what did not arrive, what nothing explains, files."""
    day = today()
    with books() as engine, reading(engine) as conn:
        points = points_of(conn, day)
    if not points:
        console.print("Nothing is open with the bank.")
        return
    wanted = [
        one
        for one in points
        if (kind is None or one.kind is kind)
        and (participant is None or one.participant == participant)
        and one.age_days(day) >= min_age
    ]
    if not wanted:
        console.print(f"No such point is open; {len(points)} others are.")
        return
    table = Listing("id", "what is open", figure("yuan"), figure("age days"), prose("what"), "proposal")
    for one in wanted:
        waits = "" if one.proposal is None else str(one.proposal)
        what = (
            one.id,
            one.kind.replace("_", " "),
            yuan(one.amount_fen),
            str(one.age_days(day)),
            one.what,
        )
        table.add(*what, waits)
    console.print(table)
    console.print(f"{points_in_words(len(wanted))} open", highlight=False)


def show(point_id: PointId) -> None:
    """Show all that is known of a payment, a line (S3:5), a statement (S3) or a file (F7), and what to do."""
    with books() as engine, reading(engine) as conn:
        title, told = _known(conn, point_id)
        point = next((one for one in points_of(conn, today()) if one.id == point_id), None)
    console.print(title, soft_wrap=True, highlight=False)
    console.print(told_table(told))
    for line in _to_do(point):
        console.print(line, soft_wrap=True, highlight=False)


def list_statements() -> None:
    """List the statements in the books with their numbers and balances."""
    with books() as engine, reading(engine) as conn:
        found = statements_where(conn)
    if not found:
        console.print("No statement was read yet: `onecard bank take`, or `read FILE`.")
        return
    table = Listing("no", "statement", figure("number"), "opens", figure("yuan"), "closes", figure("yuan"))
    for one in found:
        opens, closes = (str(one.opening_on), yuan(one.opening_fen)), (str(one.day), yuan(one.closing_fen))
        table.add(f"S{one.number}", one.statement_id, str(one.sequence), *opens, *closes)
    console.print(table)


def pay_again(
    point_id: PointId,
    reason: Reason,
    by: By,
    account_no: Annotated[str, typer.Option("--account-no", help="the participant's right account")] = "",
    bank_code: Annotated[str, typer.Option("--bank-code", help="its bank's CNAPS code of 12 digits")] = "",
    bank_name: Annotated[str, typer.Option("--bank-name", help="its bank's name")] = "",
) -> None:
    """Propose to pay again what was rejected, came back or arrived short; another person approves it.

    Particulars that are given become the participant's own with the approval.
    """
    _propose(
        Asked(
            point_id, Decision.PAY_AGAIN, reason, named(by), now(), account_no=account_no, bank_code=bank_code,
            bank_name=bank_name,
        )
    )  # fmt: skip


def resolve(
    point_id: PointId,
    decision: Annotated[Decision, typer.Argument(help="what is to be done")],
    reason: Reason,
    by: By,
    to: Annotated[
        str, typer.Option("--to", help="book: the account it belongs to, such as agent:COUNTER-1")
    ] = "",
    other: Annotated[
        str,
        typer.Option(
            "--with", help="offset: the line that undoes it; settle: the instruction, if it names none"
        ),
    ] = "",
) -> None:
    """Propose what is to become of an open point; another person approves it.

    settle: a line pays or returns its instruction. book: it belongs to an account. offset: two lines undo one another.
    reject: the bank says in writing that it has not paid. explain: a file or a missing number needs nothing more.
    """
    if decision is Decision.PAY_AGAIN:
        raise Refused("a payment is made again by a command of its own; give `onecard bank pay-again ID`")
    _propose(Asked(point_id, decision, reason, named(by), now(), account=to, other=other))


def list_proposals(
    done_too: Annotated[bool, typer.Option("--done-too", help="also what was decided")] = False,
) -> None:
    """List the proposals that wait for a second person."""
    with books() as engine, reading(engine) as conn:
        found = proposals(conn, done_too=done_too)
    if not found:
        console.print("No proposal waits for anybody." if not done_too else "Nobody has proposed anything.")
        return
    console.print(proposals_table(found))


def _known(conn: Connection, point_id: str) -> tuple[str, list[Told]]:
    """A heading and what is known under an id. Raises Refused where nothing is."""
    one = instruction_of(conn, point_id)
    if one is not None:
        paid = f", {yuan(one.paid_fen)} of {yuan(one.amount_fen)} yuan paid"
        return f"{point_id} is {one.state.replace('_', ' ')}{paid}", story_of(conn, one)
    line = line_of(conn, point_id)
    if line is not None:
        whose = ", ".join(part for part in (line.party, line.party_account, line.remittance) if part)
        return f"{point_id}: {whose or 'the bank says nothing of whose it is'}", [
            line_told(line),
            *decisions_about(conn, point_id),
        ]
    number = int(point_id[1:]) if point_id[1:].isdecimal() and len(point_id) < 10 else 0
    for file in files_where(conn, bank_file.c.number == number) if point_id.startswith("F") else ():
        what = f"{file.message}; {file.remedy}" if file.remedy else file.message
        read = Told(file.read_on, file.name, what)
        return f"{point_id} is {file.state}, SHA-256 {file.digest}", [read, *decisions_about(conn, point_id)]
    for kept in statements_where(conn, bank_statement.c.number == number) if point_id.startswith("S") else ():
        what = f"{yuan(kept.opening_fen)} yuan on {kept.opening_on}, {yuan(kept.closing_fen)} on {kept.day}"
        read = Told(kept.booked_on, f"statement {kept.statement_id}", what)
        return f"{point_id} is the bank's number {kept.sequence}", [read, *decisions_about(conn, point_id)]
    raise Refused(f"nothing is known under {point_id!r}; `onecard bank list` names what is open")


def _to_do(point: Point | None) -> Iterator[str]:
    if point is None:
        yield "Nothing of it is open."
        return
    waits = "" if point.proposal is None else f" (waits in proposal {point.proposal})"
    yield f"Open since {point.since}, {point.kind.replace('_', ' ')}: {point.what}{waits}"
    yield f"To do: {point.remedy}"


def _propose(asked: Asked) -> None:
    with books() as engine, writing(engine) as conn:
        made = propose(conn, asked, today())
    if isinstance(made, ProposalRefused):
        raise Refused(f"{made.message}; {made.remedy}")
    _say(made, "waits for a second person")


def _approve(engine: Engine, word: Word) -> Proposal | DecisionRefused:
    return decisions.approve(engine, word, nights=settings().city_home().nights, today=today())


def _say_decided(engine: Engine, done: Proposal) -> None:
    on = f", on {done.business_date}" if done.business_date else ""
    why = f": {done.decided_why}" if done.decided_why else ""
    _say(done, f"{done.state.replace('_', ' ')} by {done.decided_by}{on}{why}")
    if done.made:
        with reading(engine) as conn:
            made = instruction_of(conn, done.made)
        assert made is not None
        messages = settings().city_home().nights / f"{done.business_date}" / "out" / "bank"
        leaves = f"{made.end_to_end_id} leaves in {messages / f'pain001-{made.message_id}.xml'}"
        console.print(leaves, soft_wrap=True, highlight=False)


def _say(one: Proposal, stands: str) -> None:
    what = f"{one.decision.replace('_', ' ')} {one.point}, {yuan(one.amount_fen)} yuan"
    account = f", on account {one.account_no}" if one.account_no != one.account_no_before else ""
    to = f" to {one.account}" if one.account else f" with {one.other}" if one.other else ""
    console.print(f"Proposal {one.number}, {what}{to}{account}: {stands}", soft_wrap=True, highlight=False)


def points_in_words(count: int) -> str:
    """How many points are, as a sentence begins with it."""
    return f"{count} {'point is' if count == 1 else 'points are'}"


approve, refuse, withdraw = deciding_commands(
    Deciding(
        approve=_approve,
        turn_down=decisions.turn_down,
        withdraw=decisions.withdraw,
        say=_say_decided,
        approved="it is carried out at once, on the open day",
        stays="its point stays open",
    ),
)
