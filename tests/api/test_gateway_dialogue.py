"""What the gateway answers to every kind of message, right or wrong: field 39 by its table."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from api.gateway.codes import Code
from api.gateway.tables import gateway_message
from api.gateway.terminals import withdraw_terminal
from card.hsm.client import Hsm
from card.loss import report_loss
from city.processes import RunningHsm
from clearing.online.payment import payments_of_merchant
from clearing.wire.iso8583 import Message, decode, encode, specification
from ledger.day import begin_close
from ledger.db import reading, writing
from tests.support.counter_city import DAY, NOW, CounterCity, card_no, found_city
from tests.support.raw_terminal import PURCHASE, RawTerminal, Socket, raw_terminal

CHINA, ASCII = specification("china-pos"), specification("ascii")


@pytest.fixture
def town(engine: Engine, city_hsm: Hsm, hsm_process: RunningHsm) -> CounterCity:
    return found_city(engine, city_hsm, hsm_process.transport_key_file)


@pytest.fixture
def port(town: CounterCity) -> Iterator[int]:
    with town.serving() as listening:
        yield listening


@pytest.fixture
def terminal(town: CounterCity, port: int) -> RawTerminal:
    return raw_terminal(town, port)


def messages(town: CounterCity) -> int:
    with reading(town.engine) as conn:
        return int(conn.execute(select(func.count()).select_from(gateway_message)).scalar_one())


def test_each_wrong_field_has_its_code_and_moves_nothing(terminal: RawTerminal, town: CounterCity) -> None:
    assert terminal.code(f3="990000") == "40"
    assert terminal.code(f52="0102030405060708") == "40"
    assert terminal.code(f12="") == "30"
    assert terminal.code(f13="0230") == "30"
    assert terminal.code(f12="250000") == "30"
    assert terminal.code(f13="0228") == "12"
    assert terminal.code(f13="0305") == "12"
    assert terminal.code(f49="840") == "12"
    assert terminal.code(f4="000000000000") == "13"
    assert terminal.code(f42="OTHER-SHOP     ") == "03"
    assert messages(town) == 0
    assert terminal.code(f2=card_no(55)[1:]) == "14"
    assert terminal.code(f11="000002", f4="000000010001") == "51"
    assert messages(town) == 2
    assert town.shop_fen == 0


def test_the_wrong_field_is_named_in_the_answer(terminal: RawTerminal) -> None:
    answer = terminal.ask("0200", {**PURCHASE, 49: "840"})
    assert (answer.get(39), answer.get(44), answer.get(64) != "") == ("12", "49", True)
    letters = terminal.bytes_of("0200", PURCHASE).replace(
        bytes.fromhex("000000000500"), bytes.fromhex("00000000D500")
    )
    body = terminal.socket.ask(letters)
    assert body is not None
    refused = decode(body, CHINA)
    assert (refused.mti, refused.get(39), refused.get(44), refused.get(64)) == ("0210", "30", "4", "")


def test_a_wrong_mac_is_refused_without_one_and_says_nothing_else(
    terminal: RawTerminal, town: CounterCity
) -> None:
    good = terminal.bytes_of("0200", PURCHASE)
    for data in (good[:-1] + bytes((good[-1] ^ 1,)), encode(Message("0200", PURCHASE), CHINA)):
        body = terminal.socket.ask(data)
        assert body is not None
        answer = decode(body, CHINA)
        assert (answer.get(39), answer.get(64)) == ("A0", "")
    changed = good.replace(bytes.fromhex("000000000500"), bytes.fromhex("000000000050"))
    body = terminal.socket.ask(changed)
    assert body is not None
    assert decode(body, CHINA).get(39) == "A0"
    assert (messages(town), town.shop_fen) == (0, 0)


def test_terminals_that_may_not_speak_are_told_so(terminal: RawTerminal, town: CounterCity) -> None:
    assert terminal.code(f41="POS77777") == "97"
    foreign = terminal.socket.ask(
        encode(Message("0800", {11: "000001", 41: "POS00001", 60: "00000001301"}), ASCII)
    )
    assert foreign is not None
    assert decode(foreign, ASCII).get(39) == "30"
    with writing(town.engine) as conn:
        assert withdraw_terminal(conn, "POS00001", at=NOW)
    assert terminal.code() == "58"


def test_a_message_again_is_answered_with_the_same_bytes_and_booked_once(
    terminal: RawTerminal, town: CounterCity, port: int
) -> None:
    data = terminal.bytes_of("0200", PURCHASE)
    first = terminal.socket.ask(data)
    assert first is not None
    assert decode(first, CHINA).get(39) == "00"
    assert [terminal.socket.ask(data), Socket(port).ask(data)] == [first, first]
    town.now = NOW.replace(hour=9)
    assert terminal.socket.ask(data) == first
    assert (town.shop_fen, messages(town)) == (500, 1)


def test_a_decline_is_repeated_as_it_was_given(terminal: RawTerminal, town: CounterCity) -> None:
    with writing(town.engine) as conn:
        report_loss(conn, town.holders[0], at=NOW)
    assert terminal.code() == "41"
    assert terminal.code(f2=card_no(1)[1:]) == "94"
    assert terminal.code() == "41"


def test_the_same_key_with_other_content_is_refused_and_the_first_answer_stays(
    terminal: RawTerminal, town: CounterCity
) -> None:
    assert terminal.code() == "00"
    assert terminal.code(f4="000000000501") == "94"
    assert terminal.code() == "00"
    assert terminal.code(f13="0301") == "00"
    assert town.shop_fen == 1_000


def test_under_a_new_key_the_answer_is_the_same_but_for_its_mac(
    terminal: RawTerminal, town: CounterCity, port: int
) -> None:
    first = terminal.ask("0200", PURCHASE)
    again = raw_terminal(town, port).ask("0200", PURCHASE)
    assert {**again.fields, 64: ""} == {**first.fields, 64: ""}
    assert again.get(64) != first.get(64)
    # Once the new key has been used, the old one is nothing any more.
    assert terminal.code() == "A0"


def test_a_reversal_of_another_amount_is_refused_and_the_purchase_stands(
    terminal: RawTerminal, town: CounterCity
) -> None:
    assert terminal.code() == "00"
    assert terminal.code("0400", f4="000000000400") == "13"
    assert terminal.code("0400", f4="000000000400") == "13"
    assert town.shop_fen == 500


def test_a_reversal_again_is_answered_again_and_the_purchase_stays_what_it_was(
    terminal: RawTerminal, town: CounterCity
) -> None:
    assert terminal.code() == "00"
    assert [terminal.code("0400"), terminal.code("0400")] == ["00", "00"]
    assert (town.wallet_fen(0), town.shop_fen) == (10_000, 0)
    assert terminal.code() == "00"
    assert town.shop_fen == 0


def test_a_reversal_before_its_purchase_is_remembered_for_ever(
    terminal: RawTerminal, town: CounterCity
) -> None:
    assert terminal.code("0400") == "00"
    assert [terminal.code(), terminal.code()] == ["21", "21"]
    assert terminal.code(f11="000002") == "00"
    assert (town.wallet_fen(0), town.shop_fen) == (9_500, 500)


def test_an_advice_that_cannot_be_booked_says_why(terminal: RawTerminal, town: CounterCity) -> None:
    assert terminal.code("0220", f11="000011") == "00"
    assert terminal.code("0220", f11="000012", f3="200000", f61="0000010000110302") == "00"
    assert terminal.code("0220", f11="000013", f3="200000", f61="0000010000110302") == "61"
    assert terminal.code("0220", f11="000014", f3="200000", f61="0000010000990302") == "25"
    assert terminal.code("0220", f11="000015", f3="200000", f61="000001") == "30"
    assert terminal.code("0220", f11="000016", f13="0115", f4="000000010001") == "51"
    assert terminal.code("0220", f11="000017", f13="1115") == "12"
    assert terminal.code(f11="000018") == "00"
    assert terminal.code("0400", f11="000018") == "00"
    assert terminal.code("0220", f11="000019", f3="200000", f61="0000010000180302") == "21"
    assert town.shop_fen == 0


def test_a_refunded_purchase_is_not_reversed_any_more(terminal: RawTerminal, town: CounterCity) -> None:
    assert terminal.code() == "00"
    assert terminal.code("0220", f11="000002", f3="200000", f4="000000000100", f61="0000010000010302") == "00"
    assert terminal.code("0400") == "12"
    assert town.shop_fen == 400


def test_a_purchase_after_the_cut_off_is_of_the_next_business_day(
    terminal: RawTerminal, town: CounterCity
) -> None:
    with writing(town.engine) as conn:
        following = begin_close(conn, DAY, at=NOW)
    assert terminal.code() == "00"
    with reading(town.engine) as conn:
        (paid,) = payments_of_merchant(conn, "SHOP-1", following)
    assert (paid.amount_fen, paid.event_at) == (500, NOW)


def test_a_new_year_does_not_confuse_the_days(terminal: RawTerminal, town: CounterCity) -> None:
    town.now = NOW.replace(year=2027, month=1, day=1)
    assert terminal.code(f13="1231", f12="235959") == "00"
    assert terminal.code("0400", f13="1231", f12="235959") == "00"
    with reading(town.engine) as conn:
        days = set(conn.execute(select(gateway_message.c.local_date)).scalars())
    assert [str(day) for day in days] == ["2026-12-31"]


def test_a_transport_header_comes_back_turned_round(terminal: RawTerminal) -> None:
    body = terminal.socket.ask(bytes.fromhex("6000030012") + terminal.bytes_of("0200", PURCHASE))
    assert body is not None
    assert body[:5].hex() == "6000120003"
    assert decode(body[5:], CHINA).get(39) == "00"


@pytest.mark.parametrize(
    "body",
    [
        bytes.fromhex("0200FFFFFFFFFFFFFFFF"),
        bytes.fromhex("0200"),
        b"\x05",
        b"GET / HTTP/1.1\r\n\r\n",
        encode(Message("0200", {11: "000001"}), CHINA),
        encode(Message("0210", {11: "000001", 41: "POS00001"}), CHINA),
        encode(Message("0900", {11: "000001", 41: "POS00001"}), ASCII),
    ],
)
def test_what_names_no_request_of_a_terminal_ends_the_connection(
    terminal: RawTerminal, port: int, body: bytes
) -> None:
    assert Socket(port).ask(body) is None
    assert terminal.code() == "00"


def test_the_hsm_away_means_not_now_and_no_money(
    terminal: RawTerminal, town: CounterCity, hsm_process: RunningHsm
) -> None:
    gone = Hsm("127.0.0.1", 1, timeout_s=1)
    with replace(town, hsm=gone).serving() as other:
        body = Socket(other).ask(terminal.bytes_of("0200", PURCHASE))
    assert body is not None
    answer = decode(body, CHINA)
    assert (answer.get(39), answer.get(64)) == ("96", "")
    assert town.shop_fen == 0


def test_the_page_lists_the_codes_in_the_order_in_which_they_are_asked() -> None:
    page = (Path(__file__).parents[2] / "docs/formats/iso8583.md").read_text()
    listed = re.findall(r"^\| `(\w\w)` \|", page.split("## Field 39")[1], re.MULTILINE)
    assert listed == [code.value for code in Code]


def test_a_malformed_bitmap_is_refused_whichever_bit_is_wrong_and_moves_nothing(
    terminal: RawTerminal, town: CounterCity
) -> None:
    """A bit too many or too few shifts every field behind it; where anybody can be answered, it is no approval."""
    good = terminal.bytes_of("0200", PURCHASE)

    async def answers() -> list[bytes | None]:
        gateway = town.gateway()
        try:
            return [
                await gateway.answer(
                    good[: 2 + bit // 8]
                    + bytes((good[2 + bit // 8] ^ 0x80 >> bit % 8,))
                    + good[3 + bit // 8 :]
                )
                for bit in range(64)
            ]
        finally:
            await gateway.close()

    told = [decode(one, CHINA) for one in asyncio.run(answers()) if one is not None]
    assert {one.get(39) for one in told} <= {"30", "97", "A0"}
    unread = [one for one in told if one.get(39) == "30"]
    assert unread and all(one.get(44) for one in unread), "the field at fault is named"
    assert (messages(town), town.shop_fen) == (0, 0)
