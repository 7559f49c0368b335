"""The peer of the night's rules: the same decisions one tap at a time, in Python with dictionaries.

It is what one would write first: every TAC is checked through `cryptography` with the card's own key, and
nothing is left out that the generated day needs.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from card.chip.keys import SUITES, CardKeys, Order, purchase_tac
from clearing.verdict import Verdict
from clearing.wire.batch import RECORD_BYTES, TapRecord
from clearing.wire.tariff import Tariff, fare_fen


def decide(
    bodies: Mapping[str, bytes], keys: Mapping[str, CardKeys], owner: Mapping[str, str], tariff: Tariff
) -> Counter[Verdict]:
    """Count the verdicts on every operator's records (`bodies`: 64 bytes a tap, without header and trailer)."""
    counts: Counter[Verdict] = Counter()
    seen: set[bytes] = set()
    believed: dict[str, list[TapRecord]] = {}
    for operator, body in sorted(bodies.items()):
        for start in range(0, len(body), RECORD_BYTES):
            raw = body[start : start + RECORD_BYTES]
            if raw in seen:
                counts[Verdict.DUPLICATE] += 1
                continue
            seen.add(raw)
            tap = TapRecord.unpack(raw)
            if owner.get(tap.terminal) != operator:
                counts[Verdict.DEVICE_UNKNOWN] += 1
            elif tap.card_no not in keys:
                counts[Verdict.CARD_UNKNOWN] += 1
            elif not _signed(tap, keys[tap.card_no]):
                counts[Verdict.TAC_WRONG] += 1
            else:
                believed.setdefault(tap.card_no, []).append(tap)
    for taps in believed.values():
        counts.update(_judge_card(taps, tariff))
    return counts


def _signed(tap: TapRecord, keys: CardKeys) -> bool:
    order = Order(tap.kind, tap.amount_fen, bytes.fromhex(tap.terminal))
    tac = purchase_tac(SUITES[0], keys, order, terminal_sequence=tap.terminal_sequence, moment=tap.moment)
    return tac == tap.tac


def _judge_card(taps: Iterable[TapRecord], tariff: Tariff) -> Iterable[Verdict]:
    """Continuity and price of one card's believed taps, by counter; the generated day has no clones."""
    last: TapRecord | None = None
    for tap in sorted(taps, key=lambda tap: tap.counter):
        price_fen = fare_fen(
            tariff, ride=tap.ride, list_fare_fen=tap.list_fare_fen, holder_class=tap.holder_class,
            linked=tap.linked, full_fare=tap.full_fare,
        )  # fmt: skip
        follows = last is None or (
            tap.counter == last.counter + 1
            and tap.balance_before_fen == last.balance_before_fen - last.amount_fen
        )
        last = tap
        if not follows:
            yield Verdict.BALANCE_GAP
        else:
            yield Verdict.ACCEPTED if tap.amount_fen == price_fen else Verdict.PRICE_DIFFERS
