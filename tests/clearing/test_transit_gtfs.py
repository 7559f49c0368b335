"""GTFS fares: real feeds of both versions become tariffs, and what they ask beyond that is listed."""

import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from clearing.sectors.transit.card_fares import price_card
from clearing.sectors.transit.fare_check import check_tariff
from clearing.sectors.transit.fare_file import read_fares, write_fares
from clearing.sectors.transit.fare_taps import Tap, TapKind, Unpriced
from clearing.sectors.transit.fare_tariff import FareTariff
from clearing.sectors.transit.gtfs_fares import import_feed
from clearing.sectors.transit.gtfs_feed import FeedError, NotExpressed, read_feed

NOON = datetime(2024, 10, 2, 16, 0, tzinfo=UTC)
"""Wednesday noon in Boston, six in the evening in Warsaw."""


def imported(folder: Path, medium: str | None = None) -> tuple[FareTariff, tuple[NotExpressed, ...]]:
    made, left_out = import_feed(read_feed(folder), name="feed", valid_from=date(2024, 10, 1), medium=medium)
    assert read_fares(write_fares(made)) == made
    return made, left_out


def costs(tariff: FareTariff, *legs: tuple[str, str, str, int], lines: str = "") -> list[int | Unpriced]:
    """What legs cost: each mode, from, to, minutes after noon; half an hour long where there are two taps."""
    taps = []
    for place, (mode, start, end, minute) in enumerate(legs):
        at = NOON + timedelta(minutes=minute)
        gated = tariff.modes[mode].taps == "entry_exit"
        if gated:
            taps.append(Tap(f"{place}a", "c", at, TapKind.ENTRY, mode, start, line=lines))
            at += timedelta(minutes=30)
        taps.append(Tap(f"{place}b", "c", at, TapKind.EXIT if gated else TapKind.RIDE, mode, end, line=lines))
    return [leg.refusal or leg.price_fen for leg in price_card((tariff,), taps, (), NOON + timedelta(days=2))]


def test_a_feed_of_zones_asks_what_its_products_cost(shared_data: Path) -> None:
    tariff, left_out = imported(shared_data / "gtfs" / "zakroczym")
    assert check_tariff(tariff) == []
    assert (tariff.currency, tariff.zone, len(tariff.fares)) == ("PLN", "Europe/Warsaw", 9)
    of = {area: stop for fare in tariff.fares for stop, [area] in getattr(fare.price, "areas").items()}  # noqa: B009
    asked = [
        costs(tariff, ("transit", of[start], of[end], 0))
        for start, end in ("11", "12", "21", "13", "32", "33")
    ]
    assert asked == [[0], [400], [400], [500], [400], [0]]
    told = [str(one) for one in left_out]
    assert any("monthly_discount: no leg or transfer asks it: a pass" in one for one in told)
    assert any("Seniorzy" in one for one in told)
    assert any("prices with 1" in one for one in told)


def test_a_large_feed_keeps_networks_timeframes_and_free_transfers(shared_data: Path) -> None:
    tariff, left_out = imported(shared_data / "gtfs" / "mbta_fares_v2", "charlieticket")
    assert [flaw for flaw in check_tariff(tariff) if not flaw.remark] == []
    assert len(tariff.discounts) == 18
    subway = ("rapid_transit", "", "", 0)
    # One ride is 2.40 dollars; a second within two hours is free, and a bus after it, too.
    assert costs(tariff, subway) == [240]
    assert costs(tariff, subway, ("local_bus", "117", "117", 60)) == [240, 0]
    [alone] = costs(tariff, ("local_bus", "117", "117", 0))
    assert isinstance(alone, int) and alone > 0
    told = [str(one) for one in left_out]
    assert any(
        "timeframe_systemwide_free: timeframes.txt does not have it; 185 leg rules" in one for one in told
    )
    assert any("transfer_only: 56 leg rules" in one for one in told)
    assert len([one for one in told if one.startswith("fare_media.txt")]) == 3


def test_another_medium_has_other_prices_and_an_unknown_one_is_refused(shared_data: Path) -> None:
    folder = shared_data / "gtfs" / "mbta_fares_v2"
    cash, _ = imported(folder)
    assert len(cash.fares) == 24
    with pytest.raises(FeedError, match=r"no fare medium is 'gold'; give one of cash, credit_debit"):
        imported(folder, "gold")


def test_a_feed_of_the_first_version_is_priced_by_route(shared_data: Path) -> None:
    tariff, left_out = imported(shared_data / "gtfs" / "google_sample_feed_1")
    assert (check_tariff(tariff), left_out) == ([], ())
    assert costs(tariff, ("transit", "", "", 0), lines="BFC") == [125]
    assert costs(tariff, ("transit", "", "", 0), lines="AAMV") == [525]
    assert costs(tariff, ("transit", "", "", 0), lines="CITY") == [Unpriced.NO_FARE]


V1 = {
    "fare_attributes": (
        "fare_id,price,currency_type,payment_method,transfers,transfer_duration\n"
        "zone,3,CHF,0,1,3600\nlong,5.50,CHF,0,,\nthrough,9,CHF,0,0,\nfils,1.2345,CHF,0,0,\n"
    ),
    "fare_rules": (
        "fare_id,route_id,origin_id,destination_id,contains_id\n"
        "zone,,1,1,\nlong,,1,2,\nlong,,2,1,\nthrough,,,,3\n"
    ),
    "stops": "stop_id,zone_id\na,1\nb,1\nc,2\n",
    "agency": "agency_name,agency_timezone\nA,Europe/Zurich\n",
}


def zipped(folder: Path, tables: dict[str, str]) -> Path:
    path = folder / "feed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in tables.items():
            archive.writestr(f"{name}.txt", text)
    return path


def test_zones_and_transfers_of_the_first_version_hold_and_passing_through_is_listed(tmp_path: Path) -> None:
    tariff, left_out = imported(zipped(tmp_path, V1))
    assert (tariff.currency, tariff.zone) == ("CHF", "Europe/Zurich")
    within, long = ("transit", "a", "b", 0), ("transit", "a", "c", 0)
    assert costs(tariff, within) == [300]
    assert costs(tariff, long) == [550]
    assert costs(tariff, within, ("transit", "b", "a", 50)) == [300, 0]
    assert costs(tariff, within, ("transit", "b", "a", 70)) == [300, 300]
    told = [str(one) for one in left_out]
    assert any("fare through, contains_id: 1 rules" in one for one in told)
    assert any("fare fils: it is 1.2345 CHF" in one for one in told)


V2 = {
    "fare_products": (
        "fare_product_id,rider_category_id,fare_media_id,amount,currency\n"
        "single,,card,2.00,EUR\nsingle,child,card,1.00,EUR\nnight,,card,3.00,EUR\nday,,card,2.50,EUR\n"
    ),
    "fare_media": "fare_media_id,fare_media_type\ncard,2\n",
    "rider_categories": "rider_category_id,rider_category_name\nchild,Child\n",
    "routes": "route_id,network_id\n1,bus\n2,tram\n",
    "fare_leg_rules": (
        "leg_group_id,network_id,from_timeframe_group_id,fare_product_id\n"
        "bus,bus,,single\ntram,tram,,single\nlate,bus,nights,night\n"
    ),
    "timeframes": "timeframe_group_id,start_time,end_time,service_id\nnights,18:00:00,24:00:00,week\n",
    "calendar": (
        "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
        "week,1,1,1,1,1,0,0,20240101,20241231\n"
    ),
    "calendar_dates": "service_id,date,exception_type\nweek,20241003,2\nweek,20241005,1\n",
    "fare_transfer_rules": (
        "from_leg_group_id,to_leg_group_id,duration_limit,duration_limit_type,fare_transfer_type,fare_product_id\n"
        "bus,tram,3600,2,2,day\ntram,bus,3600,1,1,single\ntram,tram,3600,0,0,\ntram,late,,,1,\n"
    ),
    "agency": "agency_name,agency_timezone\nA,UTC\n",
}


def test_times_categories_and_joint_prices_of_the_second_version_hold(tmp_path: Path) -> None:
    tariff, left_out = imported(zipped(tmp_path, V2))
    assert [flaw for flaw in check_tariff(tariff) if not flaw.remark] == []
    evening = 3 * 60  # nineteen o'clock on Wednesday
    bus, tram = ("bus", "", "", 0), ("tram", "", "", 30)
    assert costs(tariff, bus) == [200]
    assert costs(tariff, ("bus", "", "", evening)) == [300]
    assert costs(tariff, ("bus", "", "", evening + 24 * 60)) == [200], "Thursday is taken from the service"
    assert costs(tariff, ("bus", "", "", evening + 3 * 24 * 60)) == [300], "Saturday is added to it"
    assert costs(tariff, bus, tram) == [200, 50], "both together cost the joint product"
    child = Tap("1", "c", NOON, TapKind.RIDE, "bus", "", category="child")
    assert [leg.price_fen for leg in price_card((tariff,), [child], (), NOON)] == [100]
    told = [str(one) for one in left_out]
    assert any("transfer from tram to bus: a transfer that costs more is no discount" in one for one in told)
    assert any("transfer from tram to tram: its time is measured to the end" in one for one in told)


def test_what_is_no_feed_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "feed.zip").write_bytes(b"no zip")
    for path, reason in (
        (tmp_path / "feed.zip", "cannot be read"),
        (tmp_path, "has no GTFS tables"),
        (tmp_path / "absent", "cannot be read"),
    ):
        with pytest.raises(FeedError, match=reason):
            read_feed(path)
    with pytest.raises(FeedError, match=r"neither fare_leg_rules.txt nor fare_attributes.txt is"):
        imported(zipped(tmp_path, {"stops": "stop_id\n1\n"}))
    with pytest.raises(FeedError, match=r"no column 'price'; add it"):
        imported(zipped(tmp_path, {"fare_attributes": "fare_id,currency_type\nx,CHF\n"}))
    odd = V1["fare_attributes"].replace("0,1,3600", "0,1,an hour")
    with pytest.raises(FeedError, match=r"column transfer_duration has 'an hour'; give a whole number"):
        imported(zipped(tmp_path, V1 | {"fare_attributes": odd}))
