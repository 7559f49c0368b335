"""What of each tap's amount is paid, by its verdict and the tariff's price that was found with it."""

import pyarrow as pa
from sqlalchemy import Engine

from clearing.context import Night, StepResult
from clearing.engine.rules import PRICE, Inputs
from clearing.history_fares import fares_made, unpriced
from clearing.intake import TAPS
from clearing.matching import BOUND, VERDICTS
from clearing.verdict import MONEY, Money, Verdict
from clearing.workfiles import counted, summed

PRICED = "priced.parquet"


def price(_engine: Engine, night: Night) -> StepResult:
    """Settle where each tap's money goes, by its verdict and the tariff's price of its day.

    Where the operator charged another price, the lower one is paid.
    """
    moneys = pa.table(
        {"verdict": [verdict.value for verdict in MONEY], "money": [money.value for money in MONEY.values()]}
    )
    inputs: Inputs = {
        "tap": night.work / TAPS,
        "verdict": night.work / VERDICTS,
        "verdict_money": moneys,
        "bounds": night.work / BOUND,
        "history_fare": fares_made(night),
    }
    path = night.rules.run(PRICE, inputs, "paid", night.work / PRICED)
    found = counted(path, "money")
    counts = {money.value: found[money] for money in Money}
    counts |= {
        "price_differs": counted(path, "verdict")[Verdict.PRICE_DIFFERS],
        "presented_fen": summed(night.work / TAPS, "amount_fen"),
        "paid_fen": summed(path, "paid_fen"),
    }
    counts |= unpriced(night)
    return StepResult(counts, (path,))
