"""What a story proposes: who wants what in which order, and who is killed when, all drawn from one seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Final

from city.demo import DEMO_DATE, moment
from city.phone import Phone
from city.sectors import AGENCY, GAS
from tests.city.chaos_town import TERMINALS, TREATED_ON, WATER, Town

Order = dict[str, Any]

TILL_ORDERS, TOPUPS, SHOP_DEEDS, HOSPITAL_BILLS, SCANS, RIDES = 7, 4, 7, 3, 2, 10
SERVICES: Final = ("api", "gateway", "hsm", "insurer", GAS, WATER.id, "errands")
KILLS: Final = 7
LAST_KILL: Final = 260
"""By how many messages carried the last one may be killed."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Somebody loses power when so many messages have been carried."""

    victim: str
    carried: int


@dataclass(frozen=True, slots=True)
class Workload:
    """What everybody is to do, by name: tills, programs and phones, the street; bills by biller; and the kills."""

    tills: dict[str, list[Order]]
    callers: dict[str, list[Order]]
    street: list[Order]
    bills: dict[str, list[Order]]
    kills: tuple[Kill, ...]


def propose(seed: int, town: Town) -> Workload:
    """The story of a seed; the same seed proposes the same."""
    random = Random(f"workload:{seed}")
    tills = {terminal: [_at_till(random, town) for _ in range(TILL_ORDERS)] for terminal, _ in TERMINALS}
    bills = {biller: _bills(random, biller, town) for biller in (GAS, WATER.id)}
    callers = {
        "channel": _channel(random, town),
        "shop": _shop(random, town),
        "hospital": _hospital(random, town),
    }
    for citizen in range(len(town.holders)):
        callers[f"phone-{citizen}"] = _phone(random, citizen, town, bills)
    phones = [town.phone(citizen) for citizen in range(len(town.holders))]
    street = [_on_street(random, town, phones, number) for number in range(RIDES)]
    victims = (*SERVICES, *tills, *callers, "depot")
    kills = sorted((random.randrange(5, LAST_KILL), random.choice(victims)) for _ in range(KILLS))
    return Workload(tills, callers, street, bills, tuple(Kill(victim, carried) for carried, victim in kills))


def _at_till(random: Random, town: Town) -> Order:
    kind = random.choices(("purchase", "stand_in", "refund", "balance"), (6, 2, 2, 1))[0]
    return {"kind": kind, "card_no": random.choice(town.cards), "amount_fen": random.randint(1, 4_000)}


def _channel(random: Random, town: Town) -> list[Order]:
    return [
        {
            "kind": "top_up",
            "reference": f"T-{number}",
            "holder": random.choice(town.holders),
            "amount_fen": random.randint(100, 20_000),
            "fails": random.random() < 0.25,
            "at": moment(DEMO_DATE, 9, number).isoformat(),
        }
        for number in range(TOPUPS)
    ]


def _shop(random: Random, town: Town) -> list[Order]:
    """Purchases, and what undoes them; now and then a reversal comes before its purchase."""
    deeds: list[Order] = []
    for number in range(SHOP_DEEDS):
        of = f"P-{random.randrange(number)}" if number else "P-0"
        kind = random.choices(("purchase", "reversal", "refund"), (6, 2, 2))[0] if number else "purchase"
        if kind == "purchase":
            fen, holder = random.randint(1, 5_000), random.choice(town.holders)
            deeds.append({"kind": kind, "reference": f"P-{number}", "holder": holder, "amount_fen": fen})
        elif kind == "reversal":
            deeds.append({"kind": kind, "of": f"P-{number + 1}" if random.random() < 0.3 else of})
        else:
            fen = random.randint(1, 3_000)
            deeds.append({"kind": kind, "of": of, "reference": f"R-{number}", "amount_fen": fen})
    return deeds


def _hospital(random: Random, town: Town) -> list[Order]:
    return [
        {
            "kind": "hospital_bill",
            "bill_no": f"B-{number}",
            "holder": random.choice(town.holders[:3]),
            "treated_on": TREATED_ON.isoformat(),
            "items": [
                {"code": f"X-{item}", "catalogue_class": kind, "amount_fen": random.randint(1_000, 60_000)}
                for item, kind in enumerate(random.choices("AAAC", k=random.randint(1, 3)))
            ],
            "cancelled": random.random() < 0.35,
        }
        for number in range(HOSPITAL_BILLS)
    ]


def _bills(random: Random, biller: str, town: Town) -> list[Order]:
    """A bill for every citizen, and one that two households believe to be theirs."""
    return [
        {
            "account_no": f"A{number}",
            "customer": "张*",
            "bill_no": f"{biller}-{number}",
            "period": "2026-02",
            "amount_fen": random.randint(500, 9_000),
            "due_on": DEMO_DATE.isoformat(),
        }
        for number in range(len(town.holders) + 1)
    ]


def _phone(random: Random, citizen: int, town: Town, bills: dict[str, list[Order]]) -> list[Order]:
    deeds: list[Order] = []
    wanted = [(biller, citizen) for biller in bills] + [
        (biller, -1) for biller in bills if random.random() < 0.4
    ]
    for biller, number in wanted:
        bill = bills[biller][number]
        part = biller == WATER.id and random.random() < 0.5
        deeds.append(
            {
                "kind": "utility_bill",
                "biller": biller,
                "account_no": bill["account_no"],
                "bill_no": bill["bill_no"],
                "amount_fen": bill["amount_fen"] // 2 if part else bill["amount_fen"],
                "reversed": random.random() < 0.35,
            }
        )
    if random.random() < 0.5:
        deeds.append(
            {"kind": "contribution", "agency": AGENCY, "number": f"C-{citizen}", "bracket": "student"}
        )
    deeds += [
        {
            "kind": "scan",
            "reference": f"S-{n}",
            "payload": town.payload,
            "amount_fen": random.randint(1, 3_000),
        }
        for n in range(random.randint(0, SCANS))
    ]
    random.shuffle(deeds)
    return deeds


def _on_street(random: Random, town: Town, phones: Sequence[Phone], number: int) -> Order:
    """A load from a holder's wallet, or a bus ride on a card or a code; everybody loads first."""
    citizen = number if number < len(town.cards) else random.randrange(len(town.cards))
    at = moment(DEMO_DATE, 10, 3 * number).isoformat()
    order = {"card_no": town.cards[citizen], "holder": town.holders[citizen], "at": at}
    if number < len(town.cards) or random.random() < 0.2:
        return order | {"kind": "load", "amount_fen": random.randint(1_000, 3_000)}
    if random.random() < 0.4:
        code = phones[citizen].show(at=datetime.fromisoformat(at))
        return {"kind": "code_ride", "code": code, "at": at, "list_fare_fen": 200, "line": 100 + number}
    return order | {"kind": "ride", "list_fare_fen": random.choice((100, 200, 300)), "line": 100 + number}
