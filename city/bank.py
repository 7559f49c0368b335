"""A simulated custodian bank behind files, a program of its own: `python -m city.bank --home … --account … --day …`.

A run is one day of the bank's. It takes what has come into `in/` (pain.001), answers each message in `out/` (pain.002),
pays what is due, and leaves the day's statement there (camt.053). A test or a demo orders what a real bank does by
itself: to reject, to pay less, to pay twice, to send money back, to have money come in.
"""

import json
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import typer

from city.bank_journal import Account, Payment, keep_account, load_account, ordered
from city.bank_messages import Booking, statement, status_report
from city.home import CITY_ZONE
from city.processes import run_program


def bank_day(home: Path, account_no: str, day: date, *orders: str) -> list[Path]:
    """Have the bank live a day, as a program of its own; the files that it left, in the order to be read."""
    run_program("city.bank", home, "--account", account_no, "--day", day.isoformat(), *orders)
    left = json.loads((home / f"left-{day}.json").read_text(encoding="utf-8"))
    return [home / "out" / name for name in left]


def live(
    home: Annotated[Path, typer.Option(help="its folder: in/, out/, account.json")],
    account_no: Annotated[str, typer.Option("--account", help="the account that it keeps")],
    day: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"])],
    reject: Annotated[list[str] | None, typer.Option(help="END-TO-END-ID=REASON: say no to it")] = None,
    short: Annotated[list[str] | None, typer.Option(help="END-TO-END-ID=FEN: pay so much less")] = None,
    twice: Annotated[list[str] | None, typer.Option(help="END-TO-END-ID: pay it again")] = None,
    hold: Annotated[list[str] | None, typer.Option(help="END-TO-END-ID: forget it today")] = None,
    send_back: Annotated[list[str] | None, typer.Option(help="END-TO-END-ID: it comes back today")] = None,
    deposit: Annotated[
        list[str] | None, typer.Option(help="REFERENCE=FEN: money comes in, below 0 it goes")
    ] = None,
) -> None:
    """Live one day of the bank's."""
    (home / "in").mkdir(parents=True, exist_ok=True)
    (home / "out").mkdir(exist_ok=True)
    account = load_account(home / "account.json", account_no)
    business_day = day.date()
    at = datetime.combine(business_day, time(18), CITY_ZONE)
    left = _answer(home, account, _pairs(reject), at)
    bookings = [
        *_deposits(_pairs(deposit)),
        *_paid(account, business_day, _pairs(short), set(twice or ()), set(hold or ())),
        *_back(account, send_back or ()),
    ]
    opened_on = (
        date.fromisoformat(account.closed_on) + timedelta(days=1) if account.closed_on else business_day
    )
    account.balance_fen += sum(one.signed_fen for one in bookings)
    account.sequence += 1
    account.closed_on = business_day.isoformat()
    name = f"camt053-{business_day:%Y%m%d}-{account.sequence:05d}.xml"
    (home / "out" / name).write_bytes(statement(account, business_day, opened_on, bookings, at))
    keep_account(home / "account.json", account)
    (home / f"left-{business_day}.json").write_text(json.dumps([*left, name]), encoding="utf-8")


def _answer(home: Path, account: Account, rejections: dict[str, str], at: datetime) -> list[str]:
    """Take what has come in and answer it; the names of the answers."""
    left = []
    for file in sorted((home / "in").glob("*.xml")):
        message_id, payments = ordered(file.read_bytes())
        if message_id in account.messages:
            continue
        for one in payments:
            if one.end_to_end_id in rejections:
                one.state, one.reason = "rejected", rejections[one.end_to_end_id] or "AC04"
        account.messages.append(message_id)
        account.payments += payments
        name = f"pain002-{message_id}.xml"
        (home / "out" / name).write_bytes(status_report(message_id, payments, at))
        left.append(name)
    return left


def _paid(
    account: Account, day: date, short: dict[str, str], twice: set[str], hold: set[str]
) -> list[Booking]:
    found = []
    for one in account.waiting(day):
        if one.end_to_end_id in hold:
            continue
        one.state = "executed"
        found.append(_payment(one, one.amount_fen - int(short.get(one.end_to_end_id, "0"))))
    return found + [
        _payment(account.payment(name), account.payment(name).amount_fen) for name in sorted(twice)
    ]


def _payment(one: Payment, amount_fen: int) -> Booking:
    reference = f"B{one.end_to_end_id}"[:35]
    return Booking(reference, one.end_to_end_id, -amount_fen, one.creditor, one.account_no, "一卡通清算")


def _back(account: Account, names: Sequence[str]) -> list[Booking]:
    found = []
    for name in names:
        one = account.payment(name)
        one.state = "returned"
        found.append(
            Booking(
                f"R{name}"[:35], name, one.amount_fen, one.creditor, one.account_no, "退汇", reversal=True,
                returned_for="AC04",
            )
        )  # fmt: skip
    return found


def _deposits(orders: dict[str, str]) -> list[Booking]:
    return [
        Booking(f"D{number:04d}", reference, int(fen), "缴款人", text="缴款")
        for number, (reference, fen) in enumerate(orders.items(), 1)
    ]


def _pairs(orders: list[str] | None) -> dict[str, str]:
    pairs = (order.partition("=") for order in orders or ())
    return {name: value for name, _, value in pairs}


if __name__ == "__main__":
    typer.run(live)
