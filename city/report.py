"""A replayed trace's totals by operator and mode, in the shape in which the trace's own are published."""

from datetime import date
from typing import Any

from sqlalchemy import Connection

from city.plan import CityPlan
from city.szt import MODES
from clearing.totals import RideTotal, cleared_totals


def totals_report(conn: Connection, plan: CityPlan, business_date: date) -> dict[str, Any]:
    """What the books say was cleared on that date, as a JSON document; amounts in fen."""
    names = {operator.id: operator.name for operator in plan.operators}
    totals = cleared_totals(conn, business_date)
    rows = [{"company": names[row.operator], "mode": MODES[row.ride], **_sums([row])} for row in totals]
    return {
        "unit": "fen",
        "business_date": business_date.isoformat(),
        "all": _sums(totals),
        "by_company_mode": sorted(rows, key=lambda row: (row["company"], row["mode"])),
    }


def _sums(totals: list[RideTotal]) -> dict[str, int]:
    return {
        "rows": sum(row.taps for row in totals),
        "list_fen": sum(row.list_fen for row in totals),
        "paid_fen": sum(row.paid_fen for row in totals),
    }
