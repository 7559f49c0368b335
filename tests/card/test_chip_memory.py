"""The chip's memory under power cuts: at whatever byte a write is cut, the old document or the new is there."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card.chip import commands as cmd
from card.chip import keys as crypto
from card.chip.apdu import Answer
from card.chip.applet import VirtualCard
from card.chip.files import PublicData
from card.chip.keys import INTERNATIONAL, CardKeys, Order
from card.chip.memory import MAX_DOCUMENT, MEMORY_BYTES, MemoryFull, document_in, writes
from card.chip.records import TRIP_SFI, Kind
from card.chip.state import TRIP_ID, new_state, state_to_json
from card.chip.status import StatusWord
from city.chip_file import ChipFile, ChipUnreadable
from tests.support.eeprom import Eeprom, PowerCut

KEYS = CardKeys(bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48)))
PUBLIC = PublicData("01011000", "03104870000000001234", 1, date(2026, 1, 1), date(2036, 12, 31))
TERMINAL, MOMENT, TRIP = bytes.fromhex("518000000001"), bytes.fromhex("20260131164329"), b"\x06" * 48
AMOUNT_FEN = 200


def cuts(before: bytes, document: bytes) -> Iterator[Eeprom]:
    """The memory after a write was cut off before each of its bytes, and after the last."""
    for power in range(sum(len(step.data) for step in writes(before, document)) + 1):
        memory = Eeprom(bytearray(before), power)
        try:
            memory.put(document)
        except PowerCut:
            assert power < sum(len(step.data) for step in writes(before, document))
        memory.power = None
        yield memory


DOCUMENTS = st.binary(max_size=40)


@given(st.lists(DOCUMENTS, max_size=4), DOCUMENTS, DOCUMENTS)
def test_a_write_cut_at_any_byte_leaves_the_old_document_or_the_new(
    earlier: list[bytes], new: bytes, newer: bytes
) -> None:
    memory = Eeprom()
    for document in earlier:
        memory.put(document)
    before, old = bytes(memory.cells), document_in(bytes(memory.cells))
    assert old == (earlier[-1] if earlier else None)
    found = []
    for cut in cuts(before, new):
        found.append(document_in(bytes(cut.cells)))
        cut.put(newer)
        assert document_in(bytes(cut.cells)) == newer
    assert found[-1] == new
    assert found == [old] * found.index(new) + [new] * (len(found) - found.index(new))


def test_a_document_larger_than_the_chip_is_refused_before_anything_is_written() -> None:
    assert len(writes(bytes(MEMORY_BYTES), bytes(MAX_DOCUMENT))) == 2
    with pytest.raises(MemoryFull, match="the chip holds"):
        writes(bytes(MEMORY_BYTES), bytes(MAX_DOCUMENT + 1))


@given(st.binary(max_size=64))
def test_noise_is_never_taken_for_a_document(noise: bytes) -> None:
    assert document_in(noise.ljust(MEMORY_BYTES, b"\0")) is None


def card_in(memory: Eeprom) -> VirtualCard:
    """The card as it wakes up with what its memory holds."""
    return VirtualCard(memory.state(), KEYS, lambda count: b"\x11\x22\x33\x44"[:count], memory.keep)


def purchase(card: VirtualCard) -> bytes:
    """Everything up to the DEBIT, and its answer."""
    card.transmit(cmd.select())
    offer = cmd.parse_init_purchase(card.transmit(cmd.init_capp_purchase(AMOUNT_FEN, TERMINAL)))
    assert isinstance(offer, cmd.PurchaseOffer)
    assert card.transmit(cmd.update_capp_cache(TRIP_ID, TRIP_SFI, TRIP)) == b"\x90\x00"
    session = crypto.purchase_session(
        INTERNATIONAL, KEYS.purchase, rnd=offer.rnd, sequence=offer.sequence, terminal_sequence=7
    )
    order = Order(Kind.CAPP_PURCHASE, AMOUNT_FEN, TERMINAL)
    return card.transmit(cmd.debit(7, MOMENT, crypto.purchase_mac1(INTERNATIONAL, session, order, MOMENT)))


def test_power_lost_at_any_byte_of_a_debit_leaves_the_purse_before_it_or_after_it() -> None:
    """Balance, counter, log, trip and proof change together; the card that is back proves which it was."""
    memory = Eeprom()
    memory.keep(new_state(PUBLIC, key_version=1, balance_fen=10_000, purchase_sequence=0x36))
    whole = Eeprom(bytearray(memory.cells))
    assert purchase(card_in(whole))[-2:] == b"\x90\x00"
    before, after = memory.state(), whole.state()
    assert after.purse.balance_fen == 9_800 and after.trips == TRIP
    seen = []
    total = sum(
        len(step.data) for step in writes(bytes(memory.cells), json.dumps(state_to_json(after)).encode())
    )
    for power in range(total):
        torn = Eeprom(bytearray(memory.cells), power)
        with pytest.raises(PowerCut):
            purchase(card_in(torn))
        torn.power = None
        assert torn.state() in (before, after)
        seen.append(torn.state() == after)
        back = card_in(torn)
        back.transmit(cmd.select())
        proof = Answer.unpack(back.transmit(cmd.transaction_prove(Kind.CAPP_PURCHASE, 0x37)))
        assert proof.word == (StatusWord.DONE if seen[-1] else StatusWord.NO_PROOF)
    # Once it is the new one it stays so; and until the head is written, which comes last, it is the old.
    assert seen == sorted(seen) and not any(seen[: total - 4])


def test_a_debit_whose_power_lasts_for_its_last_byte_is_done_and_proven() -> None:
    memory = Eeprom()
    memory.keep(new_state(PUBLIC, key_version=1, balance_fen=10_000, purchase_sequence=0x36))
    whole = Eeprom(bytearray(memory.cells))
    purchase(card_in(whole))
    text = json.dumps(state_to_json(whole.state())).encode()
    memory.power = sum(len(step.data) for step in writes(bytes(memory.cells), text))
    purchase(card_in(memory))
    memory.power = None
    back = card_in(memory)
    back.transmit(cmd.select())
    assert back.state.purse.balance_fen == 9_800
    assert cmd.parse_prove(back.transmit(cmd.transaction_prove(Kind.CAPP_PURCHASE, 0x37))) == cmd.Proof(
        tac=back.state.purse.done.tac if back.state.purse.done else b"",
        mac2=back.state.purse.done.mac2 if back.state.purse.done else b"",
    )


def test_a_wrong_mac_is_counted_before_it_is_answered() -> None:
    """Or pulling the card in time would give another guess for nothing."""
    memory = Eeprom()
    memory.keep(new_state(PUBLIC, key_version=1, balance_fen=10_000))
    card = card_in(memory)
    card.transmit(cmd.select())
    card.transmit(cmd.init_purchase(AMOUNT_FEN, TERMINAL))
    tries = memory.state().purse.mac_tries_left
    assert card.transmit(cmd.debit(7, MOMENT, bytes(4))) == b"\x93\x02"
    assert memory.state().purse.mac_tries_left == tries - 1


def test_a_card_full_of_records_fits_its_memory() -> None:
    full = replace(
        new_state(PUBLIC, key_version=1, pin=b"1" * 12), trips=bytes(48 * 30),
        purse=replace(new_state(PUBLIC, key_version=1).purse, log=bytes(23 * 10)),
    )  # fmt: skip
    memory = Eeprom()
    memory.keep(full)
    assert memory.state() == full


def test_a_file_keeps_the_document_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "card.chip"
    assert ChipFile(path).read() is None
    for number in range(3):
        ChipFile(path).write({"number": number})
        assert ChipFile(path).read() == {"number": number}
    assert path.stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other"
    other.write_text("no chip")
    with pytest.raises(ChipUnreadable, match="give another file"):
        ChipFile(other)
