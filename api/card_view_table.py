"""A card read off a reader, as tables for a person and as a document for a program."""

from typing import Any

from rich.console import Group
from rich.text import Text

from api.listings import Listing, figure
from card.chip.records import PaidArea, PurseRecord, TripRecord
from ledger.money import yuan
from terminals.card_view import CardView

CITIES = {"1000": "北京 Beijing", "1100": "天津 Tianjin", "2900": "上海 Shanghai", "3010": "南京 Nanjing",
          "3310": "杭州 Hangzhou", "5210": "武汉 Wuhan", "5810": "广州 Guangzhou", "5840": "深圳 Shenzhen",
          "6510": "成都 Chengdu", "7910": "西安 Xi'an"}  # fmt: skip
"""Region codes as T-Union cards have them; others are shown as they are."""
KINDS = {1: "load", 2: "load", 5: "purchase", 6: "purchase", 9: "ride or composite purchase"}
TRIPS = {3: "entry", 4: "exit", 6: "single"}


def as_document(view: CardView) -> dict[str, Any]:
    """All that was read, as JSON values."""
    public = view.public
    return {
        "scheme": view.scheme,
        "card_no": view.card_no,
        "issuer": public.issuer + public.issuer_rest,
        "city": view.city,
        "holder_class": public.holder_class,
        "valid_from": public.starts.isoformat(),
        "valid_to": public.expires.isoformat(),
        "balance_fen": view.balance_fen,
        "overdraft_limit_fen": view.overdraft_limit_fen,
        "log": [_log_document(record) for record in view.log],
        "trips": [_trip_document(trip) for trip in view.trips],
        "paid_area": view.paid_area and _area_document(view.paid_area),
    }


def as_tables(view: CardView) -> Group:
    """The card, its purse's log, its trips."""
    public = view.public
    card = Text("\n").join(
        Text(f"{name:<11}{value}")
        for name, value in (
            ("number", view.card_no),
            ("scheme", view.scheme),
            ("issuer", public.issuer + public.issuer_rest),
            ("city", f"{view.city} {CITIES.get(view.city, '')}".strip()),
            ("valid", f"{public.starts} to {public.expires}"),
            ("balance", f"{yuan(view.balance_fen)} yuan"),
            (
                "overdraft",
                "–" if view.overdraft_limit_fen is None else f"{yuan(view.overdraft_limit_fen)} yuan",
            ),
            ("paid area", _area(view.paid_area)),
        )
    )
    log = Listing(figure("no."), "what", figure("yuan"), "terminal", "when", title="Loads and purchases")
    for record in view.log:
        when, what = _when(record.moment), KINDS.get(record.kind, f"type {record.kind:02X}")
        log.add(str(record.sequence), what, yuan(record.amount_fen), record.terminal.hex(), when)
    trips = Listing("what", "city", "line", "station", figure("yuan"), figure("left"), "when", title="Trips")
    for trip in view.trips:
        what = TRIPS.get(trip.kind, f"type {trip.kind:02X}")
        place = (trip.city.hex(), trip.line.hex(), trip.station.hex())
        trips.add(what, *place, yuan(trip.amount_fen), yuan(trip.balance_fen), _when(trip.moment))
    return Group(card, *(table for table in (log, trips) if table))


def _area(area: PaidArea | None) -> str:
    if area is None:
        return "not told"
    if not area.inside:
        return "outside"
    return f"inside since {_when(area.moment)}, line {area.line}, station {area.station}"


def _when(moment: bytes) -> str:
    """`2026-01-31 16:43:29`; the digits themselves where a card has written no moment there."""
    digits = moment.hex()
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]} {digits[8:10]}:{digits[10:12]}:{digits[12:]}"


def _log_document(record: PurseRecord) -> dict[str, Any]:
    return {
        "sequence": record.sequence,
        "overdraft_fen": record.overdraft_fen,
        "amount_fen": record.amount_fen,
        "type": record.kind,
        "terminal": record.terminal.hex(),
        "moment": record.moment.hex(),
    }


def _trip_document(trip: TripRecord) -> dict[str, Any]:
    codes = {name: getattr(trip, name).hex() for name in ("terminal", "line", "station", "operator", "city")}
    return {
        "type": trip.kind,
        **codes,
        "industry": trip.industry,
        "amount_fen": trip.amount_fen,
        "balance_fen": trip.balance_fen,
        "moment": trip.moment.hex(),
        "acquirer": trip.acquirer.hex(),
    }


def _area_document(area: PaidArea) -> dict[str, Any]:
    return {
        "inside": area.inside,
        "moment": area.moment.hex(),
        "line": area.line,
        "station": area.station,
        "terminal": area.terminal.hex(),
        "list_fare_fen": area.list_fare_fen,
    }
