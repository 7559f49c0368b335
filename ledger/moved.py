"""What a decision adds to accounts and to their sub-ledgers as a whole."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from ledger.accounts import segment_of
from ledger.standing import Both, Decision, Sums, sums
from ledger.totals import Added

Controls = list[tuple[str, int, int]]
"""What is added to the control totals of sub-ledgers: segment, debits, credits in fen."""


class _Moved(NamedTuple):
    """What was posted to an account, in fen."""

    code: str
    account_id: int
    debits_fen: int
    credits_fen: int


def added_by(
    decision: Decision, last_line_ids: Mapping[int, int]
) -> tuple[Mapping[date, Sequence[Added]], Controls]:
    """What is added to accounts, by the last date that each is moved on, and to sub-ledgers; an entry was accepted.

    Accounts come in the order of their ids, which is the order of every lock on them.
    """
    every = [
        _Moved(code, running.facts.account_id, *running.added_fen())
        for code, running in decision.moved.items()
    ]
    moved = [one for one in every if one.debits_fen or one.credits_fen]
    return _by_last_date(decision, moved, last_line_ids), _by_segment(moved)


def controls_of(debits_fen: Sums, credits_fen: Sums) -> Controls:
    """What is added to the control totals of sub-ledgers, from fen by segment."""
    return [
        (segment, debits_fen.get(segment, 0), credits_fen.get(segment, 0))
        for segment in sorted(debits_fen.keys() | credits_fen.keys())
    ]


def _by_last_date(
    decision: Decision, moved: Sequence[_Moved], last_line_ids: Mapping[int, int]
) -> Mapping[date, Sequence[Added]]:
    """Nearly always that is one date; at most it is two, as no more days take entries."""
    *earlier, last = sorted({taken.entry.business_date for taken in decision.accepted})
    if not earlier:
        return {last: sorted([Added(*one[1:], 0, 0, last_line_ids[one.account_id]) for one in moved])}
    late = {code for amounts_fen in _sums_on(decision, last) for code in amounts_fen}
    early_debits, early_credits = _sums_on(decision, earlier[0])
    added: dict[date, list[Added]] = {}
    for one in moved:
        on_last = one.code in late
        before = (early_debits.get(one.code, 0), early_credits.get(one.code, 0)) if on_last else (0, 0)
        added.setdefault(last if on_last else earlier[0], []).append(
            Added(*one[1:], *before, last_line_ids[one.account_id])
        )
    return {business_date: sorted(several) for business_date, several in added.items()}


def _sums_on(decision: Decision, business_date: date) -> Both:
    entries = [taken.entry for taken in decision.accepted if taken.entry.business_date == business_date]
    return sums([line for entry in entries for line in entry.lines])


def _by_segment(moved: Sequence[_Moved]) -> Controls:
    debits_fen: Sums = {}
    credits_fen: Sums = {}
    for code, _, debited_fen, credited_fen in moved:
        segment = segment_of(code)
        debits_fen[segment] = debits_fen.get(segment, 0) + debited_fen
        credits_fen[segment] = credits_fen.get(segment, 0) + credited_fen
    return controls_of(debits_fen, credits_fen)
