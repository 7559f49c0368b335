"""The terminal's side of the dialogue: builders byte for byte, parsers on real answers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card.chip import commands as cmd
from card.chip import sam
from card.chip.commands import AnswerError, LoadOffer, Proof, PurchaseOffer, Refusal, Share
from card.chip.status import StatusWord, is_legal, meaning, right_length_is

H = bytes.fromhex
TERMINAL, MOMENT = H("518000000001"), H("20260131164329")


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (cmd.select(), "00A4040008A00000063201010500"),
        (cmd.select_directory(), "00A404000E325041592E5359532E444446303100"),
        (cmd.read_binary(0x15), "00B0950000"),
        (cmd.read_binary(0x17, length=11), "00B097000B"),
        (cmd.read_record(1, 0x18), "00B201C400"),
        (cmd.read_record(1, 0x1E), "00B201F400"),
        (cmd.get_balance(Share.WITH_OVERDRAFT), "805C000204"),
        (cmd.get_balance(), "805C030204"),
        (cmd.init_load(200, TERMINAL), "805000020B01000000C851800000000110"),
        (cmd.credit_load(MOMENT, H("9A4E8EB6")), "805200000B202601311643299A4E8EB604"),
        (cmd.init_purchase(200, TERMINAL), "805001020B01000000C85180000000010F"),
        (cmd.init_capp_purchase(200, TERMINAL), "805003020B01000000C85180000000010F"),
        (cmd.update_capp_cache(0, 0x1E, H("0600")), "80DC00F0020600"),
        (cmd.debit(0x57, MOMENT, H("ECE05309")), "805401000F0000005720260131164329ECE0530908"),
        (cmd.transaction_prove(6, 0x37), "805A000602003708"),
        (sam.terminal_id(), "00B0960006"),
        (sam.key_index(), "00B0970001"),
        (sam.credit_purchase(H("512929DF")), "8072000004512929DF"),
    ],
)
def test_a_builder_writes_the_command_byte_for_byte(built: bytes, expected: str) -> None:
    assert built == H(expected)


def test_the_sam_is_asked_as_in_the_worked_example() -> None:
    purchase = sam.SamPurchase(
        rnd=H("11223344"),
        sequence=0x36,
        amount_fen=200,
        kind=6,
        moment=MOMENT,
        key_version=1,
        algorithm=0,
        card_factor=H("4870000000001234"),
        issuer_factor=H("01011000FFFFFFFF"),
    )
    asked = H("8070000024112233440036000000C806202601311643290100487000000000123401011000FFFFFFFF08")
    assert sam.init_purchase(purchase) == asked
    assert sam.SamPurchase.unpack(asked[5:-1]) == purchase
    assert sam.parse_init_purchase(H("00000057ECE053099000")) == (0x57, H("ECE05309"))
    assert sam.parse_init_purchase(H("6985")) == Refusal("INIT_SAM_FOR_PURCHASE", 0x6985)
    with pytest.raises(sam.SamCommandError, match="28 bytes"):
        sam.SamPurchase.unpack(asked[5:33])


def test_the_worked_examples_answers_are_understood() -> None:
    assert cmd.parse_init_purchase(H("0000271000360000000100112233449000")) == PurchaseOffer(
        10_000, 0x36, 0, 1, 0, H("11223344")
    )
    assert cmd.parse_init_load(H("00002710000501001122334459B8C4F09000")) == LoadOffer(
        10_000, 5, 1, 0, H("11223344"), H("59B8C4F0")
    )
    # Tac and MAC2 change places between the answer to the debit and its proof.
    proof = Proof(tac=H("CFF2892D"), mac2=H("512929DF"))
    assert cmd.parse_debit(H("CFF2892D512929DF9000")) == proof
    assert cmd.parse_prove(H("512929DFCFF2892D9000")) == proof
    assert cmd.parse_credit(H("877B32219000")) == H("877B3221")
    assert cmd.parse_balance(H("000027109000")) == 10_000
    assert cmd.parse_done("UPDATE CAPP DATA CACHE", H("9000")) is None


def test_the_real_trace_of_2018_is_understood(shared_data: Path) -> None:
    document = json.loads((shared_data / "chip" / "capp_purchase_trace_2018.json").read_text())
    expected = document["expected"]
    runs = (expected["run1"], expected["run2"])
    offers = [H(answer) for sent, answer in document["apdus"] if sent.startswith("8050")]
    debits = [(H(sent), H(answer)) for sent, answer in document["apdus"] if sent.startswith("8054")]
    inits = [H(sent) for sent, _ in document["apdus"] if sent.startswith("8050")]
    for run, init, offered, (sent, answer) in zip(runs, inits, offers, debits, strict=True):
        # Those terminals sent no Le; else the commands are ours.
        assert cmd.init_capp_purchase(expected["amount_fen"], H(expected["terminal"]))[:-1] == init
        offer = cmd.parse_init_purchase(offered)
        assert isinstance(offer, PurchaseOffer)
        assert (offer.balance_fen, offer.sequence) == (run["balance_fen"], run["seq"])
        assert cmd.parse_debit(answer) == Proof(tac=H(run["tac"]), mac2=H(run["mac2"]))
        assert cmd.debit(run["term_seq"], sent[9:16], sent[16:20])[:-1] == sent
    first = cmd.parse_init_purchase(offers[0])
    assert first == PurchaseOffer(
        runs[0]["balance_fen"],
        runs[0]["seq"],
        runs[0]["overdraft"],
        runs[0]["keyver"],
        runs[0]["alg"],
        H(runs[0]["rnd"]),
    )
    assert debits[0][0][16:20] == H(runs[0]["mac1"])


@pytest.mark.parametrize(
    "name", ["tunion_nfsee.json", "cityunion_nfsee.json", "tunion_records_beijing_2024.json"]
)
def test_real_cards_balances_are_understood(shared_data: Path, name: str) -> None:
    document = json.loads((shared_data / "chip" / name).read_text())
    (answer,) = [H(answer) for sent, answer in document["apdus"] if sent.startswith("805C")]
    assert cmd.parse_balance(answer) == document["expected"]["balance_fen"]


PARSERS: list[tuple[Callable[[bytes], object], int]] = [
    (cmd.parse_balance, 4),
    (cmd.parse_init_purchase, 15),
    (cmd.parse_init_load, 16),
    (cmd.parse_debit, 8),
    (cmd.parse_credit, 4),
    (cmd.parse_prove, 8),
    (sam.parse_init_purchase, 8),
]


@pytest.mark.parametrize(("parse", "length"), PARSERS)
@pytest.mark.parametrize("word", [word for word in StatusWord if word != StatusWord.DONE])
def test_a_refusal_is_a_value_with_the_cards_word(
    parse: Callable[[bytes], object], length: int, word: StatusWord
) -> None:
    refusal = parse(word.to_bytes(2, "big"))
    assert isinstance(refusal, Refusal)
    assert refusal.word == word
    assert meaning(word) in str(refusal) and f"{word:04X}" in str(refusal)


@pytest.mark.parametrize(("parse", "length"), PARSERS)
@given(raw=st.binary(max_size=24))
def test_a_parser_gives_a_value_a_refusal_or_its_own_error(
    parse: Callable[[bytes], object], length: int, raw: bytes
) -> None:
    try:
        value = parse(raw)
    except AnswerError:
        assert len(raw) < 2 or (raw[-2:] == b"\x90\0" and len(raw) != length + 2)
    else:
        assert isinstance(value, Refusal) is (raw[-2:] != b"\x90\0")


@given(st.binary(max_size=60).map(lambda raw: raw + b"\x90\0"))
def test_what_select_answers_is_an_fci_or_an_answer_error(raw: bytes) -> None:
    try:
        fci = cmd.parse_select(raw)
    except AnswerError as refused:
        assert refused.data == raw[:-2]
    else:
        assert not isinstance(fci, Refusal)


def test_every_word_has_a_meaning_of_its_own() -> None:
    meanings = [meaning(word) for word in StatusWord]
    assert len(set(meanings)) == len(meanings)
    assert all(is_legal(word) for word in StatusWord)
    assert meaning(right_length_is(30)) == "the right length to ask for is 30"
    assert meaning(0x6105) == "5 more bytes are to be fetched"
    assert not is_legal(0x6F00)
