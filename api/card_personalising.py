"""`onecard cards personalise`: blanks get their numbers, keys and purses, which the HSM makes."""

from typing import Annotated

import typer

from api.card_commands import CENTRAL, By, Place, Why, done
from api.city_doors import city
from api.doors import console, now
from card.life import Act, State
from card.stock import find_blank, next_blanks, personalise_blanks
from city.drawer import Drawer
from city.factory import Factory
from ledger.db import reading, writing


def personalise(
    count: Annotated[int, typer.Argument(help="how many blanks", min=1)],
    by: By,
    place: Place = CENTRAL,
    algorithm: Annotated[
        int, typer.Option(help="of the keys: 0 international, 1 national", min=0, max=1)
    ] = 0,
    why: Why = "personalised",
) -> None:
    """Write number, keys and an empty purse onto blanks; the keys come wrapped from the HSM."""
    with city() as opened:
        with reading(opened.engine) as conn:
            numbers = done(next_blanks(conn, place, State.STOCK, count))
            found = [one for number in numbers if (one := find_blank(conn, number))]
        factory, drawer = (
            Factory(opened.hsm, opened.transport_key_file),
            Drawer(opened.home.world / "cards.db"),
        )
        try:
            # A chip that was written before is written again: the step can be repeated.
            chips = [
                factory.personalise(
                    one.card_no, issuer=one.issuer, holder_class=one.holder_class, algorithm=algorithm
                )
                for one in found
            ]
            drawer.put(chips)
        finally:
            drawer.close()
        with writing(opened.engine) as conn:
            made = [chip.personalised for chip in chips]
            done(personalise_blanks(conn, made, Act(by, now(), why, place)))
    version = made[0].key_version
    console.print(
        f"{count} cards are personalised under key version {version}: {numbers[0]} … {numbers[-1]}",
        soft_wrap=True,
    )
