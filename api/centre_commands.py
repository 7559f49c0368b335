"""`onecard centres …`: other cities' clearing centres, for whose cards each answers, and how it is paid."""

from datetime import date, datetime, time
from typing import Annotated, TypeVar

import typer
from sqlalchemy import Connection

from api.doors import Refused, books, console, now
from api.listings import Listing, figure, prose
from api.queue_commands import named
from city.home import CITY_ZONE
from clearing.interop.centres import (
    Answers,
    Centre,
    CentreRefused,
    answer_for,
    answers_of,
    centres_of,
    end_answers,
    end_centre,
    register_centre,
)
from clearing.interop.waiting import REASON_CHARACTERS, odd_lines, open_files, settle_line
from ledger.accounts import Conflict
from ledger.db import reading, writing
from ledger.money import read_yuan, yuan
from settlement.agreements import Agreement, Cycle, register_agreements
from settlement.participants import Participant, register_participants

Result = TypeVar("Result")


Code = Annotated[str, typer.Argument(help="the centre's code, such as KUNMING")]
Issuer = Annotated[str, typer.Argument(help="8 hex digits, as file 15 of its cards says")]
Since = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="the first day, in city time")]
Until = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="the day it ends at the beginning of; default: none"),
]


def list_centres() -> None:
    """List every centre ever registered, and the issuers that it answers for, with their periods."""
    with books() as engine, reading(engine) as conn:
        known, answers = centres_of(conn), answers_of(conn)
    table = Listing(
        "centre", prose("name"), "issuer", "from", "until", figure("a tap of ours there at most, yuan")
    )
    for one in known.values():
        most = yuan(one.max_amount_fen)
        table.add(one.code, one.name, "", _day(one.valid_from), _day(one.valid_until), most)
        for answer in answers:
            if answer.centre == one.code:
                period = _day(answer.valid_from), _day(answer.valid_until)
                table.add("", "", answer.issuer, *period, "")
    nobody = "No centre is registered: other cities' cards stay in suspense (`onecard centres add`)"
    console.print(table if known else nobody)


def add(
    code: Code,
    *,
    name: Annotated[str, typer.Option(help="its name, as banks know it")],
    account_no: Annotated[str, typer.Option(help="its bank account")],
    bank_code: Annotated[str, typer.Option(help="its bank's CNAPS code of 12 digits")],
    bank_name: Annotated[str, typer.Option(help="its bank")],
    since: Since,
    until: Until = None,
    issuer: Annotated[
        list[str] | None, typer.Option(help="an issuer that it answers for, once for each")
    ] = None,
    most: Annotated[str, typer.Option(help="what a tap of ours there may cost at most, in yuan")] = "1000",
    fee_bp: Annotated[int, typer.Option(help="our fee of what we pay it, in basis points")] = 0,
    cycle: Annotated[Cycle, typer.Option(help="when it is paid")] = Cycle.NEXT_DAY,
) -> None:
    """Register a centre with the account that it is paid on, whole or not at all; the same again changes nothing."""
    if (most_fen := read_yuan(most)) is None:
        raise Refused(f"--most {most!r} is no amount; give yuan, such as 200 or 99.50")
    begin, end = _instant(since), None if until is None else _instant(until)
    with books() as engine:
        try:
            with writing(engine) as conn:
                particulars = Participant(code, name, account_no, bank_code, bank_name)
                new = _taken(register_centre(conn, Centre(code, name, begin, end, most_fen), at=now()))
                register_participants(conn, [particulars], at=now())
                _agree(conn, code, fee_bp=fee_bp, cycle=cycle, since=since.date())
                for one in issuer or ():
                    _taken(answer_for(conn, Answers(code, one, begin, end)))
        except (ValueError, Conflict) as error:
            raise Refused(str(error)) from error
    console.print(
        f"Centre {code} is {'registered' if new else 'as it was'}; share the key of its files with it "
        "(docs/operations/interop.md)",
        soft_wrap=True,
    )


def answers(code: Code, issuer: Issuer, since: Since, until: Until = None) -> None:
    """Have a centre answer for the cards of an issuer from a day on."""
    with books() as engine, writing(engine) as conn:
        end = None if until is None else _instant(until)
        _taken(answer_for(conn, Answers(code, issuer, _instant(since), end)))
    console.print(f"{code} answers for cards of {issuer} from {since:%Y-%m-%d} on")


def end(
    code: Code,
    *,
    on: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="the first day without it, in city time")
    ],
    issuer: Annotated[str, typer.Option(help="only its answers for this issuer")] = "",
) -> None:
    """End a centre, or its answers for one issuer; what was handed to it before it still answers."""
    with books() as engine, writing(engine) as conn:
        if issuer:
            _taken(end_answers(conn, code, issuer, at=_instant(on)))
        else:
            _taken(end_centre(conn, code, at=_instant(on)))
    console.print(
        f"{code} {f'no longer answers for {issuer}' if issuer else 'is ended'} from {on:%Y-%m-%d} on"
    )


def files() -> None:
    """List our files that centres do not have, and those of whose taps some are not answered."""
    with books() as engine, reading(engine) as conn:
        found = open_files(conn)
    table = Listing(
        "centre", "file", "since", figure("yuan"), "state", figure("attempts"), prose("last word")
    )
    for one in found:
        cells = (one.state, str(one.attempts), one.last_word)
        table.add(one.centre, one.name, str(one.since), yuan(one.amount_fen), *cells)
    console.print(table if found else "No centre has anything of ours left to take or to answer")


def lines(centre: Annotated[str, typer.Argument(help="the centre; default: all")] = "") -> None:
    """List lines of result files that fit no tap: every night tries them again."""
    with books() as engine, reading(engine) as conn:
        found = odd_lines(conn, centre or None)
    table = Listing(
        "file", figure("line"), figure("about file"), figure("place"), figure("yuan"), figure("code"), prose("why"),
        "since",
    )  # fmt: skip
    for one in found:
        about = (str(one.line), str(one.number), str(one.place), yuan(one.amount_fen), str(one.code))
        table.add(one.file, *about, one.why, str(one.found_on))
    console.print(table if found else "Every line of every result fits its tap, or is settled")


def settle(
    code: Code,
    result: Annotated[int, typer.Argument(help="the number of the result file")],
    line: Annotated[int, typer.Argument(help="the line, as `lines` lists it")],
    *,
    by: Annotated[str, typer.Option(help="who says so")],
    why: Annotated[str, typer.Option(help="why, such as: sent by mistake, said KUNMING")],
) -> None:
    """Call a line settled that fits no tap; what it is about stays as it is."""
    if not 0 < len(why.strip()) <= REASON_CHARACTERS:
        raise Refused(f"--why {why!r} says nothing; give 1 to {REASON_CHARACTERS} characters")
    today = now().astimezone(CITY_ZONE).date()
    with books() as engine, writing(engine) as conn:
        found = settle_line(conn, code, result, line, by=named(by), why=why.strip(), on=today)
    if not found:
        raise Refused(f"result {result} of {code} has no odd line {line}; `onecard centres lines` lists them")
    console.print(f"Line {line} of result {result} of {code} is settled")


def _agree(conn: Connection, code: str, *, fee_bp: int, cycle: Cycle, since: date) -> None:
    register_agreements(conn, [Agreement(code, fee_bp, since, cycle=cycle)], at=now())


def _taken(answer: Result | CentreRefused) -> Result:
    if isinstance(answer, CentreRefused):
        raise Refused(answer.message)
    return answer


def _instant(day: datetime) -> datetime:
    return datetime.combine(day.date(), time(0), CITY_ZONE)


def _day(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(CITY_ZONE):%Y-%m-%d}"
