"""What a decision adds to accounts and to their sub-ledgers as a whole."""

from collections.abc import Mapping, Sequence
from datetime import date
from operator import attrgetter

from ledger.accounts import segment_of
from ledger.standing import Decision, Running, Sums
from ledger.totals import Added

Controls = list[tuple[str, int, int]]
"""What is added to the control totals of sub-ledgers: segment, debits, credits in fen."""

Moved = Sequence[tuple[Running, int, int]]
"""Accounts with what was added to each: debits and credits in fen."""


def added_by(decision: Decision) -> tuple[Mapping[date, Sequence[Added]], Controls]:
    """What is added to accounts, by the last date that each is moved on, and to sub-ledgers; an entry was accepted.

    Accounts come in the order of their ids, which is the order of every lock on them.
    """
    accounts = sorted(decision.accounts.values(), key=attrgetter("account_id"))
    every = [(one, *one.added_fen()) for one in accounts]
    moved = [one for one in every if one[1] or one[2]]
    return _by_last_date(decision, moved), _by_segment(moved)


def controls_of(debits_fen: Sums, credits_fen: Sums) -> Controls:
    """What is added to the control totals of sub-ledgers, from fen by segment."""
    return [
        (segment, debits_fen.get(segment, 0), credits_fen.get(segment, 0))
        for segment in sorted(debits_fen.keys() | credits_fen.keys())
    ]


def _by_last_date(decision: Decision, moved: Moved) -> Mapping[date, Sequence[Added]]:
    """Nearly always that is one date; at most it is two, as no more days take entries."""
    *earlier, last = sorted({taken.entry.business_date for taken in decision.accepted})
    if not earlier:
        return {
            last: [
                (one.account_id, debited, credited, 0, 0, one.last_line_id)
                for one, debited, credited in moved
            ]
        }
    late_debits, late_credits = _sums_on(decision, last)
    early_debits, early_credits = _sums_on(decision, earlier[0])
    added: dict[date, list[Added]] = {}
    for one, debited_fen, credited_fen in moved:
        code = one.was.code
        on_last = code in late_debits or code in late_credits
        before = (early_debits.get(code, 0), early_credits.get(code, 0)) if on_last else (0, 0)
        added.setdefault(last if on_last else earlier[0], []).append(
            (one.account_id, debited_fen, credited_fen, *before, one.last_line_id)
        )
    return added


def _sums_on(decision: Decision, business_date: date) -> tuple[Sums, Sums]:
    """What entries of a date debit and what they credit, in fen by code."""
    debits_fen: Sums = {}
    credits_fen: Sums = {}
    for taken in decision.accepted:
        if taken.entry.business_date == business_date:
            for line in taken.entry.lines:
                debits_fen[line.debit] = debits_fen.get(line.debit, 0) + line.amount_fen
                credits_fen[line.credit] = credits_fen.get(line.credit, 0) + line.amount_fen
    return debits_fen, credits_fen


def _by_segment(moved: Moved) -> Controls:
    debits_fen: Sums = {}
    credits_fen: Sums = {}
    for one, debited_fen, credited_fen in moved:
        segment = segment_of(one.was.code)
        debits_fen[segment] = debits_fen.get(segment, 0) + debited_fen
        credits_fen[segment] = credits_fen.get(segment, 0) + credited_fen
    return controls_of(debits_fen, credits_fen)
