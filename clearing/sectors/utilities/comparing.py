"""Our register held against a biller's file, line by line: a pure comparison to the fen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from clearing.sectors.utilities.daily_file import FileLine
from clearing.sectors.utilities.register import BillPayment
from clearing.sectors.utilities.states import LIVE, State


class DifferenceKind(StrEnum):
    """How a line differs, in order of precedence: the first that applies is the one listed."""

    OURS_ONLY = "ours_only"
    """We have a payment that is not in the file: the biller is notified again."""
    THEIRS_ONLY = "theirs_only"
    """The file has what we have not, or have given back: it goes to suspense."""
    REVERSAL_OPEN = "reversal_open"
    """The file has what is being taken back: the biller is notified of the reversal again."""
    OTHER_AMOUNT = "other_amount"
    OTHER_BILL = "other_bill"
    """The same payment of another account or bill."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A line that differs; amounts in fen, None for the side that does not have it."""

    reference: str
    kind: DifferenceKind
    ours_fen: int | None
    theirs_fen: int | None
    account_no: str
    bill_no: str
    message: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What agrees, what the file proves to be written off, and what differs, by reference."""

    agreed: int
    proved: tuple[str, ...]
    differences: tuple[Difference, ...]


def compare(
    ours: Iterable[BillPayment], theirs: Iterable[FileLine], elsewhere: Mapping[str, BillPayment]
) -> Comparison:
    """Hold the payments of a biller's business date against the lines of its file.

    `elsewhere` are payments of other dates or billers that the file names. A payment given back and not in
    the file agrees: neither side has it.
    """
    held = {one.reference: one for one in ours}
    filed = {one.reference: one for one in theirs}
    agreed, proved, differences = 0, [], []
    for reference in sorted(held.keys() | filed.keys()):
        payment, line = held.get(reference), filed.get(reference)
        found = _difference(payment, line, elsewhere.get(reference))
        if found is not None:
            differences.append(found)
        elif payment is not None and line is not None:
            agreed += 1
            if payment.state is State.PAID:
                proved.append(reference)
    return Comparison(agreed, tuple(proved), tuple(differences))


def _difference(
    payment: BillPayment | None, line: FileLine | None, elsewhere: BillPayment | None
) -> Difference | None:
    if line is None:
        if payment is None or payment.state not in LIVE:
            return None
        return Difference(
            payment.reference, DifferenceKind.OURS_ONLY, payment.amount_fen, None,
            payment.account_no, payment.bill_no,
            f"paid by us ({payment.state}) and not in the biller's file; the biller is notified again",
        )  # fmt: skip
    if payment is None or payment.state in (State.REVERSED, State.RETURNED):
        return Difference(
            line.reference, DifferenceKind.THEIRS_ONLY, None, line.amount_fen, line.account_no, line.bill_no,
            f"in the biller's file and {_why_not_ours(payment, elsewhere)}; "
            "held in suspense until the biller withdraws it",
        )  # fmt: skip
    unlike = _unlike(payment, line)
    if unlike is None:
        return None
    kind, message = unlike
    return Difference(
        line.reference, kind, payment.amount_fen, line.amount_fen, line.account_no, line.bill_no, message
    )


def _unlike(payment: BillPayment, line: FileLine) -> tuple[DifferenceKind, str] | None:
    if payment.state is State.REVERSING:
        message = "in the biller's file and being taken back; the biller is notified of the reversal again"
        return DifferenceKind.REVERSAL_OPEN, message
    if payment.amount_fen != line.amount_fen:
        message = (
            f"we hold {payment.amount_fen} fen of it, the biller wrote off {line.amount_fen} fen; "
            "the biller has to correct"
        )
        return DifferenceKind.OTHER_AMOUNT, message
    if (payment.account_no, payment.bill_no) != (line.account_no, line.bill_no):
        message = (
            f"we took it for bill {payment.bill_no} of account {payment.account_no}, the biller wrote off "
            f"bill {line.bill_no} of account {line.account_no}; the biller has to correct"
        )
        return DifferenceKind.OTHER_BILL, message
    return None


def _why_not_ours(held: BillPayment | None, elsewhere: BillPayment | None) -> str:
    if held is not None:
        return f"given back by us ({held.state})"
    if elsewhere is not None:
        return f"with us of {elsewhere.business_date} at {elsewhere.biller}"
    return "unknown to us"
