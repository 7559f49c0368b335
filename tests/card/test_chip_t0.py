"""T=0: what a card says of lengths, and a terminal that gets the same answers all the same."""

from hypothesis import given
from hypothesis import strategies as st

from card.chip import commands as cmd
from card.chip.applet import VirtualCard
from card.chip.t0 import T0Card, whole_answer
from tests.card.test_chip_applet import DEBIT, INIT_PURCHASE, SELECT, worked_card

H = bytes.fromhex


def on_t0() -> T0Card:
    return T0Card(worked_card())


def said(card: T0Card, *commands: str) -> list[str]:
    return [card.transmit(H(command)).hex().upper() for command in commands]


def test_an_answer_to_data_waits_to_be_fetched() -> None:
    selected = worked_card().transmit(H(SELECT)).hex().upper()
    assert said(on_t0(), SELECT[:-2], "00C0000033") == ["6133", selected]


def test_another_length_is_corrected_and_the_answer_goes_on_waiting() -> None:
    assert said(on_t0(), SELECT[:-2], "00C0000010", "00C0000033")[1:][0] == "6C33"
    assert said(on_t0(), SELECT[:-2], "00C0000010", "00C0000033")[2][-4:] == "9000"


def test_what_is_not_fetched_at_once_is_gone() -> None:
    assert said(on_t0(), SELECT[:-2], "805C000204", "00C0000033")[2] == "6985"
    card = on_t0()
    said(card, SELECT[:-2])
    card.reset()
    assert said(card, "00C0000033") == ["6985"]


def test_a_length_left_open_is_told() -> None:
    assert said(on_t0(), SELECT[:-2], "00B0950000", "00B095001E")[1:][0] == "6C1E"


def test_refusals_come_as_they_are() -> None:
    assert said(on_t0(), "805C000204", "00", SELECT[:-2] + "00") == ["6985", "6700", "6133"]


COMMANDS = st.sampled_from(
    [H(SELECT), H(INIT_PURCHASE), H(DEBIT), cmd.get_balance(), cmd.read_binary(0x15), cmd.read_binary(0x17, 3, 4),
     cmd.read_record(1, 0x18), cmd.read_record(1, 0x1A), cmd.read_record(9, 0x1E), cmd.get_challenge(),
     cmd.transaction_prove(6, 0x37), b"", b"\x00", H("00B095001F")]
)  # fmt: skip


@given(st.lists(COMMANDS, max_size=20))
def test_a_terminal_gets_the_same_answers_over_t0_as_over_t1(sent: list[bytes]) -> None:
    direct: VirtualCard = worked_card()
    card = on_t0()
    for apdu in sent:
        over_t0 = whole_answer(card.transmit, apdu, strip_le=True)
        over_t1 = whole_answer(direct.transmit, apdu, strip_le=False)
        assert over_t0 == over_t1


def test_a_card_that_promises_for_ever_is_given_up() -> None:
    assert whole_answer(lambda _: b"\x61\x05", H(SELECT), strip_le=True) == b"\x61\x05"
