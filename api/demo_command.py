"""`onecard demo`: a small city's day and night, from the first tap to the bank's line that pays for it."""

import shutil

from api.bars import bars
from api.city_doors import city
from api.demo_story import tell
from api.doors import DEMO_MARK, Refused, console, settings
from api.family_day import family_cards, live_family
from api.family_rides import cleared_rides
from api.interrupt import ended_by_ctrl_c
from city.agent import AGENT
from city.banking import settle_at_bank
from city.demo import DemoDay, clear_day, demo_plan, live_day, moment
from city.home import Home
from city.sectors import BENEFITS, GAS, PREFUNDED_FEN


def demo() -> None:
    """Live a small city's day and night in ONECARD_HOME, afresh each time."""
    home = settings().city_home()
    _make_room(home)
    with (
        ended_by_ctrl_c("`onecard demo` begins the demonstration anew"),
        city() as opened,
        bars(console) as shown,
    ):
        lived = live_day(opened, demo_plan(), progress=shown.tell)
        # The night needs the institutions that the day was lived with, and runs while they do.
        with live_family(opened, lived) as family:
            day = clear_day(
                opened, family.lived, peers=family.peers, progress=shown.tell, observe=shown.observe
            )
        events = [*family.events, *cleared_rides(opened.engine, family_cards(family.lived))]
        noon = moment(day.summary.business_date, 12)
        banked = settle_at_bank(opened, noon, _paid_in(day), reject=GAS)
    tell(console, day, events, banked, home.night(day.summary.business_date), home.root)


def _paid_in(day: DemoDay) -> dict[str, int]:
    """What the counter and the agency have paid into the reserve, by the references they gave the bank."""
    return {
        f"agent-pays:{AGENT}:{day.summary.business_date}": day.lived.loaded_fen,
        f"prefunding:{BENEFITS}:BANK-0001": PREFUNDED_FEN,
    }


def _make_room(home: Home) -> None:
    """Clear away an earlier demonstration; never anything else."""
    if home.root.exists() and any(home.root.iterdir()) and not (home.root / DEMO_MARK).exists():
        raise Refused(
            f"{home.root} already keeps a city that is not a demonstration; set ONECARD_HOME to another folder"
        )
    if settings().database is not None:
        raise Refused("the demonstration keeps its own database; unset ONECARD_DATABASE")
    folders = (home.inbox, home.archive, home.nights, home.tariffs, home.published, home.hsm, home.world)
    for kept in folders:
        shutil.rmtree(kept, ignore_errors=True)
    for file in home.root.glob("onecard.db*"):
        file.unlink()
    home.root.mkdir(parents=True, exist_ok=True)
    (home.root / DEMO_MARK).write_text("Made by `onecard demo`, which clears it away when it runs again.\n")
