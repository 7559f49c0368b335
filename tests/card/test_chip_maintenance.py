"""Who may maintain a card, and what the holder's PIN is for."""

from datetime import date

import pytest

from card.chip import commands as cmd
from card.chip.apdu import Answer
from card.chip.applet import VirtualCard
from card.chip.files import PublicData
from card.chip.keys import SUITES, CardKeys
from card.chip.phases import Phase
from card.chip.state import AUTHENTICATION_TRIES, PIN_TRIES, Lock, new_state
from card.hsm.client import Hsm
from card.hsm.codec import CardKeyRef
from city.factory import Factory
from city.processes import RunningHsm

KEYS = CardKeys(bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48)), bytes(range(48, 64)))
PUBLIC = PublicData("01011000", "03104870000000001234", 1, date(2026, 1, 1), date(2036, 12, 31))
TERMINAL = bytes.fromhex("518000000001")
BLOCK, UNBLOCK = cmd.application_block(), cmd.application_unblock()


def selected(keys: CardKeys = KEYS, *, algorithm: int = 0, pin: bytes = b"") -> VirtualCard:
    state = new_state(PUBLIC, key_version=1, balance_fen=10_000, algorithm=algorithm, pin=pin)
    numbers = iter(range(1, 1 << 16))
    card = VirtualCard(state, keys, lambda count: next(numbers).to_bytes(count, "big"))
    card.transmit(cmd.select())
    return card


def word(card: VirtualCard, command: bytes) -> str:
    return f"{Answer.unpack(card.transmit(command)).word:04X}"


def answer_challenge(card: VirtualCard, key: bytes = KEYS.authentication or b"") -> str:
    """Answer the card's challenge with a key, and say its word."""
    challenge = cmd.parse_challenge(card.transmit(cmd.get_challenge()))
    assert isinstance(challenge, bytes)
    cryptogram = SUITES[card.state.algorithm].cryptogram(key, challenge)
    return word(card, cmd.external_authenticate(cryptogram))


@pytest.mark.parametrize("algorithm", SUITES)
def test_a_card_is_blocked_and_unblocked_by_who_answers_its_challenge(algorithm: int) -> None:
    card = selected(algorithm=algorithm)
    assert word(card, BLOCK) == "6982"
    assert (answer_challenge(card), word(card, BLOCK)) == ("9000", "9000")
    assert (card.state.lock, card.phase) == (Lock.BLOCKED, Phase.BLOCKED)
    card.reset()
    assert (word(card, cmd.select()), word(card, UNBLOCK)) == ("6A81", "6982")
    assert (answer_challenge(card), word(card, UNBLOCK)) == ("9000", "9000")
    assert (card.state.lock, word(card, cmd.select())) == (Lock.OPEN, "9000")
    assert card.state.purse.balance_fen == 10_000


@pytest.mark.parametrize("algorithm", SUITES)
def test_the_hsm_answers_the_challenge_of_a_card_that_it_made_the_key_of(
    city_hsm: Hsm, hsm_process: RunningHsm, algorithm: int
) -> None:
    ref = CardKeyRef.of(PUBLIC.issuer, PUBLIC.card_no, 1, algorithm=algorithm)
    card = selected(Factory(city_hsm, hsm_process.transport_key_file).keys_of(ref), algorithm=algorithm)
    challenge = cmd.parse_challenge(card.transmit(cmd.get_challenge()))
    assert isinstance(challenge, bytes)
    answer = city_hsm.authentication_cryptogram(ref, challenge)
    assert (word(card, cmd.external_authenticate(answer)), word(card, BLOCK)) == ("9000", "9000")


def test_a_card_locked_for_good_answers_nothing_else_ever_again() -> None:
    card = selected()
    assert (answer_challenge(card), word(card, cmd.application_block(for_good=True))) == ("9000", "9000")
    card.reset()
    for command in (cmd.select(), cmd.get_challenge(), UNBLOCK, cmd.get_balance()):
        assert word(card, command) == "9303"


def test_a_challenge_is_good_for_one_answer_and_the_proof_for_one_session() -> None:
    card = selected()
    assert answer_challenge(card) == "9000"
    assert word(card, cmd.external_authenticate(bytes(8))) == "6985"
    card.transmit(cmd.select())
    assert word(card, BLOCK) == "6982"


def test_wrong_answers_in_a_row_lock_the_key_and_a_right_one_forgives_them() -> None:
    card, wrong = selected(), bytes(16)
    assert [answer_challenge(card, wrong) for _ in range(2)] == ["63C4", "63C3"]
    assert answer_challenge(card) == "9000"
    left = [f"63C{tries}" for tries in reversed(range(AUTHENTICATION_TRIES))]
    assert [answer_challenge(card, wrong) for _ in left] == left
    card.reset()
    card.transmit(cmd.select())
    assert answer_challenge(card) == "6983"


def test_a_card_that_nobody_maintains_has_no_key_to_answer_to() -> None:
    card = selected(CardKeys(KEYS.purchase, KEYS.load, KEYS.tac))
    assert answer_challenge(card) == "6A88"


def test_a_card_with_a_pin_is_loaded_only_after_it_and_pays_without() -> None:
    card, load = selected(pin=b"2468"), cmd.init_load(100, TERMINAL)
    assert word(card, load) == "6982"
    assert word(card, cmd.init_capp_purchase(100, TERMINAL)) == "9000"
    assert [word(card, cmd.verify_pin("1357")), word(card, load)] == ["63C2", "6982"]
    assert [word(card, cmd.verify_pin("2468")), word(card, load)] == ["9000", "9000"]
    assert [word(card, cmd.verify_pin("1")) for _ in range(PIN_TRIES)] == ["63C2", "63C1", "63C0"]
    assert [word(card, cmd.verify_pin("2468")), word(card, load)] == ["6983", "6982"]


def test_a_card_without_a_pin_has_none_to_verify() -> None:
    assert word(selected(), cmd.verify_pin("2468")) == "6A88"
