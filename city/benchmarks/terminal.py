"""How fast a terminal takes a card: over a real pcscd, card and SAM in two slots, beside APDUs that do nothing."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median

from card.chip import commands, sam
from card.chip.applet import VirtualCard
from card.chip.files import PublicData
from card.chip.keys import INTERNATIONAL, CardKeys
from card.chip.purse import MAX_BALANCE_FEN
from card.chip.records import TRIP_SFI, Kind
from card.chip.sam import SamPurchase
from card.chip.sam_chip import SamKey, SamState, VirtualSam
from card.chip.state import TRIP_ID, new_state
from card.hsm.codec import CardKeyRef
from city.benchmarks.figures import Figure, at_most
from city.pcsc import SOCKET_VARIABLE, private_pcscd
from city.plan import read_plan
from city.vpcd import CONTACT_ATR
from clearing.wire.batch import Ride
from clearing.wire.tariff import parse_tariff
from terminals.hotlist import Hotlist
from terminals.outbox import Outbox
from terminals.pcsc import Pcsc, PcscCard, PcscSam
from terminals.trip import Identity
from terminals.validator import RideFacts, Validator

DEFAULT_PURCHASES = 2_000
FEWEST = 100
INDUSTRY_MS, GOAL_MS = 300, 20
TERMINAL = bytes.fromhex("518000000001")
MOMENT = bytes.fromhex("20260131164329")
AT = datetime(2026, 1, 31, 8, 43, 29, tzinfo=UTC)
PUBLIC = PublicData("01011000", "03104870000000001234", 1, date(2026, 1, 1), date(2036, 12, 31))
REF = CardKeyRef.of(PUBLIC.issuer, PUBLIC.card_no, 1)
ROOT = bytes(range(16))
APDUS = 7
EMPTY = bytes.fromhex("00A40000023F00")
"""SELECT of the master file: it carries nothing and does nothing."""
EMPTY_TO_SAM = bytes.fromhex("00B0970001")
SEEN_S = 10.0


def bench_terminal(size: int | None) -> list[Figure]:
    """Pay `size` times over the same reader, each time beside as many empty APDUs to the same two chips."""
    count = max(size or DEFAULT_PURCHASES, FEWEST)
    with two_slots() as (card, module):
        purchases_ms, empties_ms = [], []
        for sequence in range(count):
            purchases_ms.append(_timed_ms(lambda: _purchase(card, module)))
            empties_ms.append(_timed_ms(lambda: _empty(card, module)))
            _expect(sequence, card)
        taps_ms = _taps_ms(card, module, count)
    return [
        at_most(
            f"CAPP purchase over PC/SC, card and SAM, {APDUS} APDUs, p99", _p99(purchases_ms), "ms",
            against="what the industry allows", peer=INDUSTRY_MS, ratio=round(GOAL_MS / INDUSTRY_MS, 3),
        ),
        at_most(
            "CAPP purchase over PC/SC, card and SAM, p50", 1000 * median(purchases_ms), "µs",
            against=f"{APDUS} empty APDUs through the same reader", peer=1000 * median(empties_ms), ratio=1.5,
        ),
        at_most(
            "a validator's tap, its record durable, p99", _p99(taps_ms), "ms",
            against="what the industry allows", peer=INDUSTRY_MS, ratio=1,
        ),
    ]  # fmt: skip


@contextmanager
def two_slots() -> Iterator[tuple[PcscCard, PcscSam]]:
    """A card and the SAM that knows its root key, each in its slot of a reader of our own."""
    issuer_key = INTERNATIONAL.derived(ROOT, REF.issuer)
    keys = CardKeys(INTERNATIONAL.derived(issuer_key, REF.card), ROOT, ROOT)
    chip = VirtualCard(new_state(PUBLIC, key_version=1, balance_fen=MAX_BALANCE_FEN), keys, os.urandom)
    module = VirtualSam(SamState(TERMINAL, 0, (SamKey(1, 0, 2, ROOT),)), lambda _: None)
    with private_pcscd() as reader, _environment(reader.environment):
        reader.card.put(chip)
        reader.sam.put(module, CONTACT_ATR)
        with Pcsc() as pcsc:
            first, second = pcsc.readers()
            with (
                pcsc.connect(pcsc.wait_for_card([first], SEEN_S)) as card,
                pcsc.connect(pcsc.wait_for_card([second], SEEN_S)) as slot,
            ):
                yield card, PcscSam(slot)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = os.environ.get(SOCKET_VARIABLE)
    os.environ.update(values)
    try:
        yield
    finally:
        del os.environ[SOCKET_VARIABLE]
        if before is not None:
            os.environ[SOCKET_VARIABLE] = before


def _purchase(card: PcscCard, module: PcscSam) -> None:
    """One ride of one fen: the APDUs of a validator, and nothing else."""
    card.transmit(commands.select())
    card.transmit(commands.get_balance())
    offer = commands.parse_init_purchase(card.transmit(commands.init_capp_purchase(1, TERMINAL)))
    if isinstance(offer, commands.Refusal):
        raise RuntimeError(f"the card does not pay: {offer}")
    purchase = SamPurchase(
        offer.rnd, offer.sequence, 1, Kind.CAPP_PURCHASE, MOMENT, 1, 0, REF.card, REF.issuer
    )
    made = sam.parse_init_purchase(module.transmit(sam.init_purchase(purchase)))
    if isinstance(made, commands.Refusal):
        raise RuntimeError(f"the SAM does not answer: {made}")
    sequence, mac1 = made
    card.transmit(commands.update_capp_cache(TRIP_ID, TRIP_SFI, bytes(48)))
    proof = commands.parse_debit(card.transmit(commands.debit(sequence, MOMENT, mac1)))
    if isinstance(proof, commands.Refusal) or module.transmit(sam.credit_purchase(proof.mac2)) != b"\x90\x00":
        raise RuntimeError(f"the purchase is not proven: {proof}")


def _empty(card: PcscCard, module: PcscSam) -> None:
    """As many APDUs as a purchase has, to the same two chips in the same order."""
    for _ in range(3):
        card.transmit(EMPTY)
    module.transmit(EMPTY_TO_SAM)
    for _ in range(2):
        card.transmit(EMPTY)
    module.transmit(EMPTY_TO_SAM)


def _expect(sequence: int, card: PcscCard) -> None:
    """A benchmark that pays nothing would be fast: the card's counter must have gone on by one each time."""
    card.transmit(commands.select())
    offer = commands.parse_init_purchase(card.transmit(commands.init_capp_purchase(0, TERMINAL)))
    if isinstance(offer, commands.Refusal) or offer.sequence != sequence + 1:
        raise RuntimeError(f"purchase {sequence + 1} did not count: {offer}")


def _taps_ms(card: PcscCard, module: PcscSam, count: int) -> list[float]:
    """The validator's whole decision, with its outbox on the disk and synced."""
    tariff = parse_tariff(read_plan("shenzhen").tariff_text)
    ride = RideFacts(Ride.BUS, 200, line=1)
    with (
        tempfile.TemporaryDirectory(prefix="onecard-bench-") as folder,
        Outbox(Path(folder) / "outbox.db") as outbox,
    ):
        validator = Validator(Identity(TERMINAL.hex()), module, outbox, tariff, Hotlist(1))
        taps_ms = []
        for _ in range(count // 10):
            taps_ms.append(_timed_ms(lambda: _ridden(validator, card, ride)))
    return taps_ms


def _ridden(validator: Validator, card: PcscCard, ride: RideFacts) -> None:
    if (outcome := validator.tap(card, ride, at=AT)).refusal is not None:
        raise RuntimeError(f"the validator refuses: {outcome.refusal}")


def _timed_ms(deed: Callable[[], None]) -> float:
    begun = time.perf_counter()
    deed()
    return 1000 * (time.perf_counter() - begun)


def _p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]
