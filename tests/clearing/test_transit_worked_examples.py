"""Every fare that docs/fares.md works by hand is what the rules ask."""

import pytest

from clearing.sectors.transit.card_fares import price_cards
from clearing.sectors.transit.fare_legs import LegKind
from tests.support.fare_examples import AS_OF, Examples, worked_examples

TABLES = list(worked_examples())


@pytest.mark.parametrize("examples", TABLES, ids=[one.tariffs[0].name for one in TABLES])
def test_every_tap_of_the_document_pays_what_stands_there(examples: Examples) -> None:
    found = {tap.id: "0" for tap in examples.taps}
    for priced in price_cards(examples.tariffs, examples.taps, examples.holdings, AS_OF).values():
        for leg in priced:
            found[leg.leg.pays.id] = leg.refusal or str(leg.price_fen)
    assert found == examples.pays


def test_the_document_has_an_example_of_every_kind_of_rule() -> None:
    city, steps = TABLES
    assert (len(city.pays), len(steps.pays)) == (66, 8)
    tariff = city.tariffs[0]
    rules = {fare.name for fare in tariff.fares} | {discount.name for discount in tariff.discounts}
    rules |= {cap.name for cap in tariff.caps}
    legs = [
        leg
        for priced in price_cards(city.tariffs, city.taps, city.holdings, AS_OF).values()
        for leg in priced
    ]
    seen = {step.rule for leg in legs for step in leg.steps}
    assert rules - seen == set()
    assert {leg.leg.kind for leg in legs} == set(LegKind) - {LegKind.OPEN}
