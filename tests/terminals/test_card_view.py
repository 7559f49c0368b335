"""What a reader shows of cards: real ones as they were recorded, ours, and cards it does not know."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.card_view_table import as_document
from card.chip import commands
from card.chip.apdu import Apdu
from card.chip.applet import VirtualCard
from card.chip.commands import PurchaseOffer
from card.chip.state import Lock
from clearing.wire.batch import Ride
from terminals.card_view import CardView, NotReadable, read_card
from terminals.validator import RideFacts
from tests.terminals.depot import AT, BUS, Depot

H = bytes.fromhex


@dataclass(slots=True)
class RecordedCard:
    """Answers as a card once did, whatever Le it is asked with; what it was not asked then, it has not."""

    answers: dict[bytes, bytes]

    @classmethod
    def of(cls, document: dict[str, Any]) -> "RecordedCard":
        return cls({head(H(sent)): H(answer) for sent, answer in document["apdus"]})

    def transmit(self, apdu: bytes) -> bytes:
        return self.answers.get(head(apdu), b"\x6a\x82")


def head(apdu: bytes) -> bytes:
    command = Apdu.unpack(apdu)
    return bytes((command.cla, command.ins, command.p1, command.p2)) + command.data


def recorded(shared_data: Path, name: str) -> tuple[RecordedCard, dict[str, Any]]:
    document = json.loads((shared_data / "chip" / name).read_text())
    return RecordedCard.of(document), document["expected"]


def test_a_real_t_union_card_is_shown_as_it_is_known(shared_data: Path) -> None:
    card, known = recorded(shared_data, "tunion_nfsee.json")
    view = read_card(card)
    assert isinstance(view, CardView)
    shown = as_document(view)
    assert (shown["scheme"], shown["card_no"]) == ("T-Union", "0" + known["card_no"])
    assert (shown["issuer"].lower(), shown["city"]) == (known["issuer"], known["city"])
    assert (shown["valid_from"], shown["valid_to"]) == (known["issue"], known["expiry"])
    assert shown["balance_fen"] == known["balance_fen"]
    assert [(line["sequence"], line["amount_fen"], line["type"]) for line in shown["log"]] == [
        (line["seq"], line["amount_fen"], line["type"]) for line in known["log"]
    ]
    assert [(line["terminal"], line["moment"]) for line in shown["log"]] == [
        (line["terminal"], line["ts"]) for line in known["log"]
    ]
    assert (shown["trips"], shown["paid_area"]) == ([], None)


def test_a_real_city_union_card_is_shown_as_it_is_known(shared_data: Path) -> None:
    card, known = recorded(shared_data, "cityunion_nfsee.json")
    view = read_card(card)
    assert isinstance(view, CardView)
    shown = as_document(view)
    assert (shown["scheme"], shown["city"], shown["card_no"]) == (
        "City Union", known["city"], known["card_no"],
    )  # fmt: skip
    assert (shown["valid_from"], shown["valid_to"]) == (known["issue"], known["expiry"])
    assert shown["balance_fen"] == known["balance_fen"]


def test_a_real_beijing_trip_is_shown_as_it_is_known(shared_data: Path) -> None:
    """The record was published without the card's own number, which another real card lends it."""
    whose, _ = recorded(shared_data, "tunion_nfsee.json")
    card, known = recorded(shared_data, "tunion_records_beijing_2024.json")
    select = {sent: answer for sent, answer in whose.answers.items() if sent[:2] == b"\x00\xa4"}
    view = read_card(RecordedCard(card.answers | select))
    assert isinstance(view, CardView)
    shown, (trip,) = as_document(view), known["travel"]
    assert shown["balance_fen"] == known["balance_fen"]
    assert shown["trips"] == [
        {"moment" if name == "ts" else name: value for name, value in trip.items() if name != "rfu"}
    ]
    assert shown["log"][0]["moment"] == known["log"][0]["ts"]


def test_the_real_trace_of_2018_replays_through_the_validators_own_parsers(shared_data: Path) -> None:
    """Two purchases of a real terminal: we send what it sent, but for Le, and understand what it was answered."""
    document = json.loads((shared_data / "chip" / "capp_purchase_trace_2018.json").read_text())
    known, terminal = document["expected"], H(document["expected"]["terminal"])
    said = [(H(sent), H(answer)) for sent, answer in document["apdus"]]
    starts = [at for at, (sent, _) in enumerate(said) if sent[:2] == b"\x80\x50"]
    for name, start, end in zip(("run1", "run2"), starts, [*starts[1:], len(said)], strict=True):
        run, (init, offered), *cached, (debit, debited) = known[name], *said[start:end]
        assert head(commands.init_capp_purchase(known["amount_fen"], terminal)) == head(init)
        offer = commands.parse_init_purchase(offered)
        assert isinstance(offer, PurchaseOffer)
        assert (offer.balance_fen, offer.sequence) == (run["balance_fen"], run["seq"])
        for sent, answer in cached:
            update = Apdu.unpack(sent)
            ours = commands.update_capp_cache(update.p1, update.p2 >> 3, update.data)
            assert head(ours)[:3] == head(sent)[:3]
            assert commands.parse_done("UPDATE CAPP DATA CACHE", answer) is None
        moment, mac1 = debit[9:16], debit[16:20]
        assert head(commands.debit(run["term_seq"], moment, mac1)) == head(debit)
        proof = commands.parse_debit(debited)
        assert not isinstance(proof, commands.Refusal)
        assert (proof.tac.hex(), proof.mac2.hex()) == (run["tac"], run["mac2"])


def test_our_own_card_shows_what_the_validator_wrote(depot: Depot) -> None:
    chip = depot.card(overdraft_limit_fen=800)
    for ride in (BUS, RideFacts(Ride.METRO_EXIT, 500, line=3, station=12)):
        assert depot.validator().tap(chip, ride, at=AT).refusal is None
    view = read_card(chip)
    assert isinstance(view, CardView)
    assert (view.balance_fen, view.overdraft_limit_fen) == (chip.state.purse.balance_fen, 800)
    assert [trip.amount_fen for trip in view.trips] == [record.amount_fen for record in view.log]
    assert len(view.trips) == 2 and view.paid_area is not None and not view.paid_area.inside


@pytest.mark.parametrize(("lock", "said"), [(Lock.BLOCKED, "blocked"), (Lock.FOR_GOOD, "locked for good")])
def test_a_blocked_card_says_that_it_is(depot: Depot, lock: Lock, said: str) -> None:
    locked = VirtualCard(replace(depot.card().state, lock=lock), depot.keys_of(), bytes)
    assert read_card(locked) == NotReadable(f"a T-Union card whose application is {said}")


def test_a_card_of_another_kind_is_not_taken_for_one() -> None:
    assert read_card(RecordedCard({})) == NotReadable("neither a T-Union nor a City Union card")


@given(st.lists(st.binary(min_size=2, max_size=60), min_size=1, max_size=40))
def test_whatever_a_card_answers_it_is_shown_or_said_to_be_unreadable(answers: list[bytes]) -> None:
    waiting = iter(answers)

    class Babbling:
        def transmit(self, apdu: bytes) -> bytes:
            return next(waiting, b"\x6a\x82")

    try:
        assert isinstance(read_card(Babbling()), CardView | NotReadable)
    except commands.AnswerError:
        pytest.fail("a broken answer must not leave the reader")
