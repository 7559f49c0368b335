"""Bad days as stories: what the night says of each tap, and where the money is in the end."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from card.hotlist import HotlistEntry, hotlist_card, hotlisted
from card.hsm.client import Hsm
from clearing.devices import Device, register_devices
from clearing.drop_folder import Round, drop_folder, sweep
from clearing.intake import missing_batches
from clearing.landing import Landing
from clearing.open_gaps import Gap, open_gaps
from clearing.suspense import suspended_taps
from clearing.terminal_watch import Finding, watch
from clearing.wire.bcd import pack_moment
from clearing.wire.names import batch_name
from clearing.wire.record import TapRecord
from clearing.wire.tariff import Tariff, parse_tariff
from ledger.balances import balances
from ledger.checks import check_books
from ledger.db import reading, writing
from ledger.sharing import Alone
from tests.support.clearing_day import DAY, TAP, TARIFF_FILE, SmallCity, at, card_no, signed, terminal_no

BUS, OTHER_BUS = terminal_no(1), terminal_no(2)
PURSE_FEN = 10_000
CARDS = 4


@pytest.fixture
def city(engine: Engine, city_hsm: Hsm, tmp_path: Path) -> Iterator[SmallCity]:
    small = SmallCity(engine, city_hsm, tmp_path / "city")
    small.furnish(cards=CARDS, purse_fen=PURSE_FEN)
    yield small


def day(number: int) -> date:
    """The day of the n-th night, from 1."""
    return DAY + timedelta(days=number - 1)


def ride(
    card: int, counter: int, before_fen: int, when: datetime, *,
    number: int, amount_fen: int = 160, terminal: str = BUS, station: int = 1,
) -> TapRecord:  # fmt: skip
    """A bus ride of list fare 200 fen with its card's signature; `number` is the terminal's own."""
    return signed(
        replace(
            TAP,
            card_no=card_no(card),
            counter=counter,
            balance_before_fen=before_fen,
            amount_fen=amount_fen,
            moment=pack_moment(when),
            terminal=terminal,
            terminal_sequence=number,
            station=station,
        )
    )


def unreadable_tac(record: TapRecord) -> TapRecord:
    return replace(record, tac=bytes(byte ^ 0x40 for byte in record.tac))


def verdicts(city: SmallCity, operator: str = "BUS-1") -> list[str]:
    """The verdicts of an operator's taps, in the order in which they were presented."""
    return [verdict for key, verdict in sorted(city.verdicts().items()) if key[0] == operator]


@dataclass(frozen=True)
class Money:
    """Where money is, in fen: owed to the bus, still in purses, kept for overcharged riders."""

    bus_fen: int
    purses_fen: int
    overcharge_fen: int = 0


def money(city: SmallCity) -> Money:
    """Where the money is; the books are sound, and nothing has come from nowhere."""
    with reading(city.engine) as conn:
        assert check_books(conn) == []
        held = {one.code: one.balance_fen for one in balances(conn)}
    found = Money(
        held.get("clearing:BUS-1", 0),
        sum(fen for code, fen in held.items() if code.startswith("purse:")),
        abs(held.get("suspense:overcharge", 0)),
    )
    assert found.bus_fen + found.purses_fen + found.overcharge_fen == CARDS * PURSE_FEN
    return found


def acknowledgement(city: SmallCity, name: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((city.inbox / "acks" / f"{name}.ack").read_text())
    return said


def raised(valid_from: date) -> tuple[Tariff, Tariff]:
    """The real tariff until a day, and from that day one by which a bus ride of 200 fen costs 180."""
    old = json.loads(TARIFF_FILE.read_text(encoding="utf-8"))
    new = json.loads(TARIFF_FILE.read_text(encoding="utf-8"))
    old["valid_to"] = str(valid_from - timedelta(days=1))
    new |= {"name": "raised", "version": 2, "valid_from": str(valid_from)}
    new["rides"]["bus"]["bands"][0]["pay_bp"] = 9_000
    return parse_tariff(json.dumps(old)), parse_tariff(json.dumps(new))


def test_taps_of_seven_days_ago_are_priced_by_the_tariff_of_their_own_day(city: SmallCity) -> None:
    """A bus whose modem was broken for a week presents at last; meanwhile fares went up."""
    city.tariffs = raised(DAY - timedelta(days=3))
    week_ago = at(8, day=DAY - timedelta(days=7))
    city.present("BUS-1", 1, [
        ride(1, 1, PURSE_FEN, week_ago, number=1),
        ride(2, 1, PURSE_FEN, week_ago + timedelta(minutes=1), number=2, amount_fen=180),
        ride(1, 2, PURSE_FEN - 160, at(8), number=3, amount_fen=180),
        ride(3, 1, PURSE_FEN, at(9), number=4),
    ])  # fmt: skip
    city.clear()
    assert verdicts(city) == ["accepted", "price_differs", "accepted", "price_differs"]
    # The second rider was charged the new fare for an old ride and gets the difference back; the fourth was
    # charged the old fare for a new ride, which is the bus company's loss.
    assert money(city) == Money(160 + 160 + 180 + 160, 4 * PURSE_FEN - 680, overcharge_fen=20)


def test_a_listed_card_is_the_issuers_risk_within_the_grace_and_the_operators_after_it(
    city: SmallCity,
) -> None:
    """A card is reported lost at nine; every bus must have the list by ten."""
    with writing(city.engine) as conn:
        hotlist_card(conn, HotlistEntry(card_no(1), at(9), at(10), "lost"))
    rides = [
        ride(1, counter, PURSE_FEN - 160 * (counter - 1), when, number=counter)
        for counter, when in enumerate((at(8, 59, 59), at(9), at(9, 59, 59), at(10)), 1)
    ]
    city.present("BUS-1", 1, rides)
    city.clear()
    assert verdicts(city) == ["accepted", "hotlisted_grace", "hotlisted_grace", "hotlisted"]
    assert money(city) == Money(3 * 160, 4 * PURSE_FEN - 3 * 160)
    city.present("BUS-1", 2, rides[3:])
    city.clear(day(2))
    assert verdicts(city)[-1] == "duplicate", "sent once more, it is not paid either"
    assert money(city) == Money(3 * 160, 4 * PURSE_FEN - 3 * 160)


def test_a_missing_tap_that_turns_up_on_the_third_night_proves_a_suspended_one(city: SmallCity) -> None:
    """Card 1 rides twice. The first record is damaged, the second stays behind in the bus's memory."""
    damaged = unreadable_tac(ride(1, 1, PURSE_FEN, at(8, 2), number=2))
    lost = ride(1, 2, PURSE_FEN - 160, at(8, 3), number=3)
    others = [ride(card, 1, PURSE_FEN, at(8, card), number=number) for card, number in ((2, 1), (4, 4))]
    city.present("BUS-1", 1, [others[0], damaged, others[1]])
    city.clear()
    assert verdicts(city) == ["accepted", "tac_wrong", "accepted"]
    assert money(city) == Money(320, 4 * PURSE_FEN - 320)
    assert city.look(open_gaps) == [Gap("BUS-1", BUS, 3, 3, 1, DAY)], "the damaged one is not asked for again"
    city.clear(day(2))
    (waits,) = city.look(suspended_taps, day(2))
    assert (waits.card_no, waits.counter, waits.age_days) == (card_no(1), 1, 1)
    asked = json.loads((city.night(day(2)).folder / "out" / "requests" / "BUS-1.json").read_text())
    assert [(one["terminal"], one["first"], one["age_days"]) for one in asked["terminals"]] == [(BUS, 3, 1)]
    city.present("BUS-1", 2, [lost])
    counts = city.clear(day(3))["post"].counts
    assert verdicts(city) == ["accepted", "accepted", "accepted", "accepted"]
    assert (counts["missing_came"], city.look(open_gaps), city.look(suspended_taps, day(3))) == (1, [], [])
    assert money(city) == Money(640, 4 * PURSE_FEN - 640)


def test_two_clones_of_one_card_are_not_paid_and_the_card_is_listed(city: SmallCity) -> None:
    """Two people ride with one card's keys at opposite ends of the city."""
    first = ride(1, 1, PURSE_FEN, at(8), number=1)
    clones = [
        ride(1, 2, PURSE_FEN - 160, at(9), number=2),
        ride(1, 2, PURSE_FEN - 160, at(9, 1), number=1, terminal=OTHER_BUS, station=9),
    ]
    city.present("BUS-1", 1, [first, *clones])
    counts = city.clear()["post"].counts
    assert counts["alarms"] == 1
    assert verdicts(city) == ["accepted", "counter_conflict", "counter_conflict"]
    assert money(city) == Money(160, 4 * PURSE_FEN - 160)
    (listed,) = city.look(hotlisted)
    assert (listed.card_no, listed.reason) == (card_no(1), "counter_conflict")
    grace, after = listed.listed_at + timedelta(hours=1), listed.effective_at + timedelta(hours=1)
    city.present("BUS-1", 2, [ride(1, 3, PURSE_FEN - 320, grace, number=3)])
    city.clear(day(2))
    city.present("BUS-1", 3, [ride(1, 4, PURSE_FEN - 480, after, number=4)])
    city.clear(day(3))
    assert verdicts(city)[3:] == ["hotlisted_grace", "hotlisted"]
    assert [one.verdict for one in city.look(suspended_taps, day(3))] == ["counter_conflict"] * 2
    assert money(city) == Money(320, 4 * PURSE_FEN - 320)


def test_a_validator_whose_clock_is_a_day_ahead_costs_no_rider_anything(city: SmallCity) -> None:
    """Its rides of Saturday say Sunday, when fares go up; on Sunday somebody sets it right."""
    city.tariffs = raised(day(2))
    tomorrow = timedelta(days=1)
    city.present("BUS-1", 1, [
        ride(1, 1, PURSE_FEN, at(8), number=1, terminal=OTHER_BUS),
        ride(1, 2, PURSE_FEN - 160, at(9) + tomorrow, number=1),
        ride(1, 3, PURSE_FEN - 320, at(10), number=2, terminal=OTHER_BUS),
        ride(2, 1, PURSE_FEN, at(20) + tomorrow, number=2),
    ])  # fmt: skip
    city.clear()
    assert verdicts(city) == ["accepted", "price_differs", "accepted", "price_differs"], "by Sunday's fares"
    assert money(city) == Money(4 * 160, 4 * PURSE_FEN - 4 * 160), "what was charged is what is paid"
    city.present("BUS-1", 2, [ride(2, 2, PURSE_FEN - 160, at(8, day=day(2)), number=3, amount_fen=180)])
    counts = city.clear(day(2))["post"].counts
    assert verdicts(city)[4:] == ["accepted"]
    assert (counts["counters_restarted"], counts["missing_taps"], counts["numbers_unplaced"]) == (0, 0, 0)
    assert money(city) == Money(4 * 160 + 180, 4 * PURSE_FEN - 4 * 160 - 180)


def test_a_new_validator_whose_clock_is_a_day_behind_is_paid_when_its_registration_is_put_right(
    city: SmallCity,
) -> None:
    """Its first rides are stamped before it was anybody's, so they wait until somebody has looked at it."""
    new = terminal_no(8)
    with writing(city.engine) as conn:
        register_devices(conn, [Device(new, "BUS-1", at(0))])
    behind = at(8) - timedelta(days=1)
    city.present("BUS-1", 1, [ride(1, 1, PURSE_FEN, behind, number=1, terminal=new)])
    city.clear()
    assert verdicts(city) == ["device_unknown"]
    assert money(city) == Money(0, 4 * PURSE_FEN)
    with writing(city.engine) as conn:
        register_devices(conn, [Device(new, "BUS-1", at(0) - timedelta(days=1), at(0))])
    city.clear(day(2))
    assert verdicts(city) == ["accepted"]
    assert money(city) == Money(160, 4 * PURSE_FEN - 160)
    assert city.look(open_gaps) == []


def test_yesterdays_file_under_todays_name_is_a_repetition_and_todays_is_still_wanted(
    city: SmallCity,
) -> None:
    """The operator's script copies the wrong file."""
    yesterday = [ride(1, 1, PURSE_FEN, at(8), number=1)]
    today = [ride(1, 2, PURSE_FEN - 160, at(8, day=day(2)), number=2)]
    _put(city.inbox, 1, city.batch("BUS-1", 1, yesterday))
    city.clear()
    _put(city.inbox, 2, city.batch("BUS-1", 1, yesterday))
    counts = city.clear(day(2))["collect"].counts
    assert (counts["repeated"], counts["accepted"], counts["taps"]) == (1, 0, 0)
    assert acknowledgement(city, batch_name("BUS-1", 2))["status"] == "repeated"
    assert (verdicts(city), money(city)) == (["accepted"], Money(160, 4 * PURSE_FEN - 160))
    # In a folder of its own, or over HTTP, it would have heard that at once.
    folder = drop_folder(city.inbox, "BUS-1")
    folder.mkdir(parents=True)
    _put(folder, 2, city.batch("BUS-1", 1, yesterday))
    assert _swept(city) == [("rejected", "name_differs")]
    _put(city.inbox, 3, city.batch("BUS-1", 3, []))
    city.clear(day(3))
    assert city.look(missing_batches) == [("BUS-1", 2)], "the next one shows that number 2 never came"
    _put(folder, 2, city.batch("BUS-1", 2, today))
    assert _swept(city) == [("waiting", None)]
    city.clear(day(4))
    assert (verdicts(city), city.look(missing_batches)) == (["accepted", "accepted"], [])
    assert money(city) == Money(320, 4 * PURSE_FEN - 320)


def test_yesterdays_taps_in_todays_file_are_paid_once_and_todays_go_under_the_next_number(
    city: SmallCity,
) -> None:
    """The operator's program packs yesterday's records into a new file, with a header and a MAC of today."""
    yesterday = [ride(1, 1, PURSE_FEN, at(8), number=1), ride(2, 1, PURSE_FEN, at(9), number=2)]
    today = [ride(1, 2, PURSE_FEN - 160, at(8, day=day(2)), number=3)]
    city.present("BUS-1", 1, yesterday)
    city.clear()
    city.present("BUS-1", 2, yesterday)
    city.clear(day(2))
    assert verdicts(city) == ["accepted", "accepted", "duplicate", "duplicate"]
    assert money(city) == Money(320, 4 * PURSE_FEN - 320)
    city.present("BUS-1", 2, today)
    city.clear(day(3))
    said = acknowledgement(city, batch_name("BUS-1", 2))
    assert (said["status"], said["reason"]) == ("rejected", "number_taken")
    assert "new number" in said["remedy"]
    city.present("BUS-1", 3, today)
    city.clear(day(4))
    assert verdicts(city)[4:] == ["accepted"]
    assert money(city) == Money(480, 4 * PURSE_FEN - 480)


def test_a_validator_replaced_at_noon_is_told_from_one_that_lost_taps(city: SmallCity) -> None:
    """In the morning it loses a tap; at noon its SAM is replaced and counts from 1."""
    morning = [ride(1, 1, PURSE_FEN, at(8), number=700), ride(2, 1, PURSE_FEN, at(9), number=702)]
    city.present("BUS-1", 1, morning)
    city.clear()
    afternoon = [ride(1, 2, PURSE_FEN - 160, at(13), number=1), ride(2, 2, PURSE_FEN - 160, at(14), number=2)]
    city.present("BUS-1", 2, afternoon)
    city.clear(day(2))
    assert city.look(open_gaps) == [Gap("BUS-1", BUS, 701, 701, 1, DAY)]
    found = city.look(lambda conn: [one.finding for one in watch(conn, day(2)) if one.terminal == BUS])
    assert found == [Finding.GAPS, Finding.RESTARTED]
    city.present("BUS-1", 3, [ride(3, 1, PURSE_FEN, at(8, 30), number=701)])
    city.clear(day(3))
    assert (verdicts(city), city.look(open_gaps)) == (["accepted"] * 5, [])
    assert money(city) == Money(5 * 160, 4 * PURSE_FEN - 5 * 160)


def _put(folder: Path, sequence: int, content: bytes) -> None:
    """Put a file into a folder under this number, whatever its header says."""
    (folder / batch_name("BUS-1", sequence)).write_bytes(content)


def _swept(city: SmallCity) -> Sequence[tuple[str, str | None]]:
    """What a round through the folders, when all has been quiet for an hour, says of each file."""
    landing = Landing(city.inbox, city.home / "archive")
    later = datetime.now(UTC) + timedelta(hours=1)
    found = sweep(Round(city.engine, Alone(city.engine), landing, day(4), later))
    return [(one.receipt.status.value, one.receipt.reason) for one in found.taken]
