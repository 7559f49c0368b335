"""What of each tap's amount is paid, by its verdict and the tariff's price that was found with it."""

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine

from clearing.context import Night, StepResult
from clearing.engine.rules import PRICE, Inputs
from clearing.history_fares import unpriced
from clearing.matching import VERDICTS
from clearing.priced import PRICED, write_priced
from clearing.tap_file import TAPS
from clearing.verdict import MONEY, Money, Verdict
from clearing.workfiles import counted, summed


def price(_engine: Engine, night: Night) -> StepResult:
    """Settle where each tap's money goes, by its verdict and the tariff's price of its day.

    Where the operator charged another price, the lower one is paid; what nothing is said of is paid as it is.
    """
    moneys = pa.table(
        {"verdict": [verdict.value for verdict in MONEY], "money": [money.value for money in MONEY.values()]}
    )
    inputs: Inputs = {"verdict": night.work / VERDICTS, "verdict_money": moneys}
    taps = pq.read_metadata(night.work / TAPS).num_rows
    paid = night.rules.run(PRICE, inputs, "paid", night.work / "paid.parquet")
    path = write_priced(night.work / PRICED, paid, taps)
    found = counted(path, "money")
    found[Verdict.ACCEPTED.money.value] += taps - found.total()
    presented_fen = summed(night.work / TAPS, "amount_fen")
    counts = {money.value: found[money] for money in Money}
    counts |= {
        "price_differs": counted(path, "verdict")[Verdict.PRICE_DIFFERS],
        "presented_fen": presented_fen,
        "paid_fen": presented_fen - summed(path, "amount_fen") + summed(path, "paid_fen"),
    }
    counts |= unpriced(night)
    return StepResult(counts, (path,))
