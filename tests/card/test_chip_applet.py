"""The card's dialogue, byte for byte, and its state table."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from card.chip import keys as crypto
from card.chip.applet import FORMS, VirtualCard
from card.chip.files import PublicData
from card.chip.keys import INTERNATIONAL, NATIONAL, CardKeys, Order
from card.chip.phases import LEGAL, Phase
from card.chip.purse import MAC_TRIES
from card.chip.records import Kind, PaidArea, PurseRecord
from card.chip.state import CardState, Lock, new_state

H = bytes.fromhex
KEYS = CardKeys(
    purchase=H("506D417DA0B667CDBD34608C7AB842BB"),
    load=H("8F5D7F60313D0C6107078224B313D7CC"),
    tac=H("0143197E328132B9B689A18E825B96EA"),
    authentication=H("000102030405060708090A0B0C0D0E0F"),
)
TERMINAL, MOMENT = H("518000000001"), H("20260131164329")
PUBLIC = PublicData("01011000", "03104870000000001234", 0, date(2026, 1, 1), date(2036, 12, 31))
SELECT = "00A4040008A00000063201010500"
INIT_LOAD = "805000020B01000000C851800000000110"
INIT_PURCHASE = "805001020B01000000C85180000000010F"
INIT_CAPP = "805003020B01000000C85180000000010F"
TRIP = "0600005180000000010200010000000000000000C80000264820260131164329584001021000FFFFFFFF000000000000"
UPDATE = "80DC00F030" + TRIP
DEBIT = "805401000F0000005720260131164329ECE0530908"
DEBIT_CAPP = "805401000F00000057202601311643291831A64D08"
DEBIT_WRONG = "805401000F00000057202601311643290000000008"
CREDIT = "805200000B202601311643299A4E8EB604"
CREDIT_WRONG = "805200000B202601311643290000000004"
FILE_15 = "01011000FFFFFFFF02010310487000000000123420260101203612310000"


def worked_state(balance_fen: int = 10_000) -> CardState:
    return new_state(PUBLIC, key_version=1, balance_fen=balance_fen, purchase_sequence=0x36, load_sequence=5)


def worked_card(state: CardState | None = None) -> VirtualCard:
    """The card of the worked example, which is not at all random."""
    return VirtualCard(state or worked_state(), KEYS, lambda count: H("11223344")[:count])


def say(card: VirtualCard, *commands: str) -> list[str]:
    return [card.transmit(H(command)).hex().upper() for command in commands]


def test_the_worked_purchase_byte_for_byte() -> None:
    card = worked_card()
    assert say(card, SELECT, INIT_PURCHASE, DEBIT, "805A000602003708", "805C000204") == [
        "6F318408A000000632010105A5259F0801029F0C1E" + FILE_15 + "9000",
        "0000271000360000000100112233449000",
        "CFF2892D512929DF9000",
        "512929DFCFF2892D9000",
        "000026489000",
    ]
    assert card.state.purse.balance_fen == 9_800


def test_the_worked_composite_purchase_byte_for_byte() -> None:
    card = worked_card()
    assert say(
        card, SELECT, INIT_CAPP, UPDATE, DEBIT_CAPP, "805A000902003708", "00B201F400", "00B201C417"
    ) == [
        "6F318408A000000632010105A5259F0801029F0C1E" + FILE_15 + "9000",
        "0000271000360000000100112233449000",
        "9000",
        "800122FC512929DF9000",
        "512929DF800122FC9000",
        TRIP + "9000",
        "0037000000000000C809518000000001202601311643299000",
    ]


def test_the_worked_load_byte_for_byte() -> None:
    card = worked_card()
    assert say(card, SELECT, INIT_LOAD, CREDIT, "805A000202000608", "805C030204") == [
        "6F318408A000000632010105A5259F0801029F0C1E" + FILE_15 + "9000",
        "00002710000501001122334459B8C4F09000",
        "877B32219000",
        "9A4E8EB6877B32219000",
        "000027D89000",
    ]
    assert card.state.purse.load_sequence == 6
    assert card.state.purse.purchase_sequence == 0x36


def test_the_trace_over_a_real_reader_up_to_what_its_random_number_decides() -> None:
    card = VirtualCard(worked_state(), KEYS, lambda count: H("7598A17F")[:count])
    debit = "805401000F0000005720260131164329FDB5DBC108"
    assert say(card, SELECT, "00B0950000", "805C000204", INIT_CAPP, UPDATE, debit)[1:] == [
        FILE_15 + "9000",
        "000027109000",
        "00002710003600000001007598A17F9000",
        "9000",
        "800122FCD67A29AE9000",
    ]


STATES: dict[Phase, tuple[str, ...]] = {
    Phase.UNSELECTED: (),
    Phase.SELECTED: (SELECT,),
    Phase.LOADING: (SELECT, INIT_LOAD),
    Phase.PURCHASING: (SELECT, INIT_PURCHASE),
    Phase.CAPP_PURCHASING: (SELECT, INIT_CAPP),
    Phase.BLOCKED: (SELECT,),
    Phase.LOCKED: (),
}
LOCKS = {Phase.BLOCKED: Lock.BLOCKED, Phase.LOCKED: Lock.FOR_GOOD}
LETTERS = dict(zip("USLPCBX", STATES, strict=True))
# The answer, then the state after it: Unselected, Selected, Loading, Purchasing, Composite, Blocked, X locked for good.
STATE_TABLE = [
    # command                                                      U     S     L     P     C     B     X
    ("SELECT", SELECT,                                          "9000S 9000S 9000S 9000S 9000S 6A81B 9303X"),
    ("SELECT of another", "00A4040009A0000000038698070100",     "6A82U 6A82U 6A82U 6A82U 6A82U 6A82U 6A82X"),
    ("SELECT of PPSE", "00A404000E325041592E5359532E4444463031", "9000U 9000U 9000U 9000U 9000U 9000U 9000X"),
    ("SELECT of the master file", "00A40000023F0000",           "9000U 9000U 9000U 9000U 9000U 9000U 9000X"),
    ("READ BINARY", "00B0950000",                               "6985U 9000S 9000L 9000P 9000C 6A81B 9303X"),
    ("READ RECORD", "00B201D400",                               "6985U 9000S 9000L 9000P 9000C 6A81B 9303X"),
    ("GET BALANCE", "805C000204",                               "6985U 9000S 9000L 9000P 9000C 6A81B 9303X"),
    ("GET CHALLENGE", "0084000008",                             "6985U 9000S 9000L 9000P 9000C 9000B 9303X"),
    ("AUTHENTICATE", "00820002080000000000000000",              "6985U 6985S 6985L 6985P 6985C 6985B 9303X"),
    ("VERIFY", "002000000431323334",                            "6985U 6A88S 6A88L 6A88P 6A88C 6A81B 9303X"),
    ("BLOCK", "801E0000",                                       "6985U 6982S 6982L 6982P 6982C 6A81B 9303X"),
    ("UNBLOCK", "80180000",                                     "6985U 6901S 6901L 6901P 6901C 6982B 9303X"),
    ("PROVE", "805A000902003708",                               "6985U 9406S 9406L 9406P 9406C 6A81B 9303X"),
    ("INITIALIZE FOR LOAD", INIT_LOAD,                          "6985U 9000L 9000L 9000L 9000L 6A81B 9303X"),
    ("INITIALIZE FOR PURCHASE", INIT_PURCHASE,                  "6985U 9000P 9000P 9000P 9000P 6A81B 9303X"),
    ("INITIALIZE FOR CAPP PURCHASE", INIT_CAPP,                 "6985U 9000C 9000C 9000C 9000C 6A81B 9303X"),
    ("UPDATE CAPP DATA CACHE", UPDATE,                          "6985U 6901S 6901L 6901P 9000C 6A81B 9303X"),
    ("CREDIT", CREDIT,                                          "6985U 6901S 9000S 6901P 6901C 6A81B 9303X"),
    ("CREDIT, wrong MAC", CREDIT_WRONG,                         "6985U 6901S 9302S 6901P 6901C 6A81B 9303X"),
    ("DEBIT, MAC for a purchase", DEBIT,                        "6985U 6901S 6901L 9000S 9302S 6A81B 9303X"),
    ("DEBIT, MAC for a composite one", DEBIT_CAPP,              "6985U 6901S 6901L 9302S 9000S 6A81B 9303X"),
]  # fmt: skip


@pytest.mark.parametrize("phase", STATES)
@pytest.mark.parametrize(
    ("command", "row"), [row[1:] for row in STATE_TABLE], ids=[row[0] for row in STATE_TABLE]
)
def test_every_command_in_every_state_answers_as_listed(command: str, row: str, phase: Phase) -> None:
    card = worked_card(replace(worked_state(), lock=LOCKS.get(phase, Lock.OPEN)))
    say(card, *STATES[phase])
    assert card.phase is phase
    (answer,) = say(card, command)
    listed = row.split()[list(STATES).index(phase)]
    assert (answer[-4:], card.phase) == (listed[:4], LETTERS[listed[4]])
    if not listed.startswith("9000"):
        assert len(answer) == 4


def test_the_state_table_of_the_tests_names_every_instruction() -> None:
    spoken = {int(command[:4], 16) for _, command, _ in STATE_TABLE}
    legal = {int(one) for phase in STATES for one in LEGAL[phase]}
    assert spoken == set(FORMS) == legal


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("", "6700"),
        ("00A4", "6700"),
        ("805001020A01000000C851800000000F", "6700"),  # Lc one short
        (INIT_PURCHASE[:-2] + "10", "6700"),  # Le of a load
        ("805C000203", "6700"),
        (DEBIT[:-2] + "07", "6700"),
        ("80E2000000", "6D00"),
        ("80A4040008A000000632010105", "6D00"),
        ("84500102", "6E00"),
        ("FF00000000", "6E00"),
        ("00A4040108A000000632010105", "6A86"),
        ("00A40000023F01", "6A82"),
        ("805001010B01000000C85180000000010F", "6A86"),  # the deposit book, which the card has not
        ("805002020B01000000C85180000000010F", "6A86"),
        ("805C040204", "6A86"),
        ("00B0150000", "6A86"),  # no current file
        ("00B0B50000", "6A86"),
        ("00B0960000", "6A82"),
        ("00B0980000", "6A82"),  # file 18 is no transparent one
        ("00B0951E00", "6B00"),
        ("00B095001F", "6C1E"),
        ("00B0970A05", "6C01"),
        ("00B09500", "6700"),
        ("00B201C400", "6A83"),
        ("00B200D400", "6A83"),
        ("00B202D400", "6A83"),
        ("00B201AC00", "6A82"),
        ("00B201D000", "6A86"),
        ("00B201D47F", "6C80"),
        ("00B201D4", "6700"),
        ("805001020B02000000C85180000000010F", "9403"),
        ("805001020B01000027115180000000010F", "9401"),
        ("805001020B01000000005180000000010F", "6A80"),
        ("805000020B010000000051800000000110", "6A80"),
        ("805000020B017FFFFFFF51800000000110", "6A80"),
    ],
)
def test_a_command_that_cannot_be_done_is_refused_by_its_word(command: str, word: str) -> None:
    card = worked_card()
    say(card, SELECT)
    before = card.state
    assert say(card, command) == [word]
    assert card.state is before


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("80DC00F02F" + TRIP[2:], "6700"),
        ("80DC01F030" + TRIP, "6A83"),
        ("80DC00C030" + TRIP, "6A82"),
        ("80DC00D080" + "00" * 128, "6A83"),
        ("80DC00F0", "6700"),
    ],
)
def test_a_record_that_fits_no_file_does_not_wait_in_the_cache(command: str, word: str) -> None:
    card = worked_card()
    assert say(card, SELECT, INIT_CAPP, command)[-1] == word
    assert say(card, DEBIT_CAPP) == ["800122FC512929DF9000"]
    assert card.state.trips == b""


@pytest.mark.parametrize(
    ("change", "command", "word"),
    [
        ({"mac_tries_left": 0}, INIT_PURCHASE, "9303"),
        ({"mac_tries_left": 0}, INIT_LOAD, "9303"),
        ({"purchase_sequence": 0xFFFF}, INIT_CAPP, "9402"),
        ({"load_sequence": 0xFFFF}, INIT_LOAD, "9402"),
        ({"purchase_sequence": 0xFFFF}, INIT_LOAD, "9000"),
        ({"balance_fen": 199}, INIT_CAPP, "9401"),
        ({"balance_fen": 200}, INIT_CAPP, "9000"),
        # The first reason counts.
        ({"mac_tries_left": 0, "purchase_sequence": 0xFFFF, "balance_fen": 0}, INIT_CAPP, "9303"),
        ({"purchase_sequence": 0xFFFF, "balance_fen": 0}, INIT_CAPP, "9402"),
    ],
)
def test_initialize_refuses_by_the_first_reason(change: dict[str, Any], command: str, word: str) -> None:
    state = worked_state()
    card = worked_card(replace(state, purse=replace(state.purse, **change)))
    assert say(card, SELECT, command)[-1][-4:] == word


def test_a_refused_initialize_ends_what_was_begun() -> None:
    card = worked_card()
    assert say(card, SELECT, INIT_PURCHASE, "805001020B01000027115180000000010F", DEBIT)[-2:] == [
        "9401",
        "6901",
    ]


def test_a_composite_purchase_of_nothing_is_legal_and_counts() -> None:
    card = worked_card(worked_state(balance_fen=0))
    init = "805003020B01000000005180000000010F"
    assert say(card, SELECT, init)[-1] == "0000000000360000000100112233449000"
    mac1 = crypto.purchase_mac1(
        INTERNATIONAL, H("67E90D06FC5F72B3"), Order(Kind.CAPP_PURCHASE, 0, TERMINAL), MOMENT
    ).hex()
    assert say(card, f"805401000F0000005720260131164329{mac1}08")[0][-4:] == "9000"
    assert (card.state.purse.balance_fen, card.state.purse.purchase_sequence) == (0, 0x37)


def test_debits_work_without_le_as_real_terminals_of_2018_sent_them() -> None:
    assert say(worked_card(), SELECT, INIT_PURCHASE[:-2], DEBIT[:-2])[-1] == "CFF2892D512929DF9000"


def test_a_random_number_is_good_for_one_mac_only() -> None:
    card = worked_card()
    assert say(card, SELECT, INIT_PURCHASE, DEBIT_WRONG, DEBIT)[-2:] == ["9302", "6901"]
    assert card.state.purse.balance_fen == 10_000


def test_fifteen_wrong_macs_in_a_row_lock_the_application_for_good() -> None:
    card = worked_card()
    say(card, SELECT)
    for _ in range(MAC_TRIES - 1):
        assert say(card, INIT_PURCHASE, DEBIT_WRONG)[-1] == "9302"
    assert say(card, INIT_PURCHASE, DEBIT)[-1][-4:] == "9000", "a right one starts the count anew"
    for _ in range(MAC_TRIES):
        assert say(card, INIT_LOAD, CREDIT_WRONG)[-1] == "9302"
    card.reset()
    assert say(card, SELECT, INIT_PURCHASE, INIT_LOAD)[1:] == ["9303", "9303"]
    assert say(card, "805A000602003708") == ["512929DFCFF2892D9000"], "what was paid can still be proven"


def test_a_torn_card_has_debited_itself_wholly_or_not_at_all() -> None:
    """Cut the power after each command in turn: balance, counter, log, trip and proof move together."""
    dialogue = (SELECT, INIT_CAPP, UPDATE, DEBIT_CAPP)
    for done in range(len(dialogue) + 1):
        card = worked_card()
        say(card, *dialogue[:done])
        card.reset()
        card = worked_card(card.state)  # it comes back, with nothing but what it keeps
        debited = done == len(dialogue)
        purse = card.state.purse
        assert (purse.balance_fen, purse.purchase_sequence) == ((9_800, 0x37) if debited else (10_000, 0x36))
        assert bool(purse.log) is bool(card.state.trips) is debited
        proof = say(card, SELECT, "805A000902003708")[-1]
        assert proof == ("512929DF800122FC9000" if debited else "9406")
        assert say(card, DEBIT_CAPP) == ["6901"], "what was begun is forgotten"


@pytest.mark.parametrize("phase", [phase for phase in STATES if phase not in LOCKS])
def test_power_off_forgets_what_the_card_was_in_the_middle_of(phase: Phase) -> None:
    card = worked_card()
    say(card, *STATES[phase])
    before = card.state
    card.reset()
    assert card.phase is Phase.UNSELECTED
    assert card.state is before
    assert say(card, INIT_PURCHASE, SELECT, DEBIT)[::2] == ["6985", "6901"]


def test_the_proof_is_for_the_last_transaction_by_kind_and_number() -> None:
    card = worked_card()
    say(card, SELECT, INIT_PURCHASE, DEBIT)
    assert say(card, "805A000902003708", "805A000602003608", "805A000602003808") == ["9406"] * 3
    say(card, INIT_LOAD)
    assert say(card, "805A000602003708") == ["512929DFCFF2892D9000"], "until the next one is complete"


def test_the_paid_area_is_written_together_with_the_debit_only() -> None:
    inside = PaidArea(inside=True, moment=MOMENT, line=2, station=7).pack().hex().upper()
    outside = PaidArea(inside=False).pack().hex().upper()
    card = worked_card()
    say(card, SELECT, INIT_CAPP, "80DC01D080" + inside)
    assert say(card, "00B201D480") == [outside + "9000"]
    say(card, DEBIT_CAPP)
    assert say(card, "00B201D480") == [inside + "9000"]


def test_the_same_record_updated_twice_is_written_once() -> None:
    card = worked_card()
    other = TRIP[:-12] + "AAAAAAAAAAAA"
    say(card, SELECT, INIT_CAPP, UPDATE, "80DC00F030" + other, DEBIT_CAPP)
    assert card.state.trips == H(other)


def test_the_four_balances_of_a_purse_with_an_overdraft() -> None:
    def shares(balance_fen: int) -> list[str]:
        card = worked_card(new_state(PUBLIC, key_version=1, balance_fen=balance_fen, overdraft_limit_fen=800))
        return [answer[:8] for answer in say(card, SELECT, *(f"805C0{p1}0204" for p1 in range(4)))[1:]]

    assert shares(1_000) == ["000003E8", "00000320", "00000000", "000000C8"]
    assert shares(300) == ["0000012C", "00000320", "000001F4", "00000000"]


def test_the_log_keeps_ten_and_shows_the_newest_first() -> None:
    card = worked_card()
    for _ in range(12):
        say(card, SELECT, INIT_LOAD)
        mac2 = _load_mac2(card)
        assert say(card, f"805200000B20260131164329{mac2}04")[0][-4:] == "9000"
    numbers = [PurseRecord.unpack(H(say(card, f"00B2{n:02X}C417")[0])[:-2]).sequence for n in range(1, 11)]
    assert numbers == list(range(17, 7, -1))
    assert say(card, "00B20BC417") == ["6A83"]


def _load_mac2(card: VirtualCard) -> str:
    sequence = card.state.purse.load_sequence
    session = crypto.load_session(INTERNATIONAL, KEYS, rnd=H("11223344"), sequence=sequence)
    order = Order(Kind.LOAD, 200, TERMINAL)
    return crypto.load_mac2(INTERNATIONAL, session, order, MOMENT).hex()


def test_a_card_of_the_national_suite_speaks_the_same_dialogue() -> None:
    state = new_state(PUBLIC, key_version=1, balance_fen=10_000, purchase_sequence=0x36, algorithm=1)
    card = worked_card(state)
    assert say(card, SELECT, INIT_CAPP)[-1] == "0000271000360000000101112233449000"
    suite, order = NATIONAL, Order(Kind.CAPP_PURCHASE, 200, TERMINAL)
    session = crypto.purchase_session(
        suite, KEYS.purchase, rnd=H("11223344"), sequence=0x36, terminal_sequence=0x57
    )
    mac1 = crypto.purchase_mac1(suite, session, order, MOMENT).hex()
    assert say(card, f"805401000F0000005720260131164329{mac1}08")[0][-4:] == "9000"
    assert card.state.purse.balance_fen == 9_800
