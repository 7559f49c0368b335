"""Posting: the one way in which money moves. Facts are loaded, everything is decided, then it is written."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from ledger import tables
from ledger.accounts import segment_of
from ledger.bulk import insert_rows
from ledger.db import WRITER_LOCK
from ledger.decision import Decision, decide, offered
from ledger.entry import Entry, Posted, Refused, mirrored
from ledger.facts import Facts, load_facts
from ledger.journal import of_references, read_entries


def post(
    conn: Connection, entries: Sequence[Entry], *, at: datetime, closing: bool = False
) -> list[Posted | Refused]:
    """Book entries in one go and answer each, in the order given; `conn` comes from `ledger.db.writing`.

    The number of statements does not depend on how many entries or lines there are. An entry sees the effect
    of those before it; one that is refused leaves no trace and does not sink the others. The same reference
    with the same content is answered with the first result. `at` is the instant of booking, `closing` lets
    the night book on its closing day. Amounts are in fen.
    """
    if conn.dialect.name == "postgresql":
        # Taken again at no cost where `writing` holds it already; without it, totals could be read too early.
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK})
    offers = offered(entries)
    facts = load_facts(conn, [offer.entry for offer in offers if offer.flaw is None])
    decision = decide(offers, facts, closing=closing)
    if decision.accepted:
        insert_rows(conn, tables.entry, _entry_rows(decision, at))
        insert_rows(conn, tables.line, _line_rows(decision, facts))
        _add_to_accounts(conn, decision, facts)
        _add_to_controls(conn, decision)
    return decision.answers


def reversal_of(
    conn: Connection,
    reference: str,
    *,
    reversal_reference: str,
    business_date: date,
    event_at: datetime,
    kind: str = "reversal",
    narrative: str = "",
) -> Entry:
    """The mirror of a booked entry, to be posted. Raises LookupError when it is not in the books."""
    found = next(read_entries(conn, of_references(conn, [reference])), None)
    if found is None:
        raise LookupError(f"no entry {reference!r} is in the books; post it before reversing it")
    return Entry(
        reference=reversal_reference,
        kind=kind,
        business_date=business_date,
        event_at=event_at,
        lines=mirrored(found.entry.lines),
        narrative=narrative,
        reverses=reference,
    )


def _entry_rows(decision: Decision, at: datetime) -> Iterator[tuple[Any, ...]]:
    for taken in decision.accepted:
        entry = taken.entry
        yield (
            taken.entry_id,
            entry.reference,
            entry.kind,
            entry.business_date,
            entry.event_at,
            at,
            entry.narrative,
            taken.reverses_id,
            taken.first_line_id,
            len(entry.lines),
            taken.digest,
        )


def _line_rows(decision: Decision, facts: Facts) -> Iterator[tuple[Any, ...]]:
    ids = {code: account.account_id for code, account in facts.accounts.items()}
    for taken in decision.accepted:
        for number, line in enumerate(taken.entry.lines, taken.first_line_id):
            yield number, taken.entry_id, ids[line.debit], ids[line.credit], line.amount_fen, line.item


def _add_to_accounts(conn: Connection, decision: Decision, facts: Facts) -> None:
    debits_fen, credits_fen = decision.debits_fen, decision.credits_fen
    # In the order of their ids, which is the order of every lock on accounts.
    added = sorted(
        (facts.accounts[code].account_id, debits_fen.get(code, 0), credits_fen.get(code, 0))
        for code in debits_fen.keys() | credits_fen.keys()
    )
    if conn.dialect.name == "postgresql":
        ids, debits, credits = (list(column) for column in zip(*added, strict=True))
        conn.execute(
            text(
                "UPDATE ledger_account SET debits_posted_fen = debits_posted_fen + added.debits,"
                " credits_posted_fen = credits_posted_fen + added.credits"
                " FROM unnest(CAST(:ids AS bigint[]), CAST(:debits AS bigint[]), CAST(:credits AS bigint[]))"
                " AS added(id, debits, credits) WHERE ledger_account.id = added.id"
            ),
            {"ids": ids, "debits": debits, "credits": credits},
        )
        return
    conn.exec_driver_sql(
        "UPDATE ledger_account SET debits_posted_fen = debits_posted_fen + ?,"
        " credits_posted_fen = credits_posted_fen + ? WHERE id = ?",
        [(debit_fen, credit_fen, number) for number, debit_fen, credit_fen in added],
    )


def _add_to_controls(conn: Connection, decision: Decision) -> None:
    debits_fen, credits_fen = _by_segment(decision.debits_fen), _by_segment(decision.credits_fen)
    conn.execute(
        text(
            "INSERT INTO ledger_control (segment, debits_posted_fen, credits_posted_fen)"
            " VALUES (:segment, :debits_fen, :credits_fen) ON CONFLICT (segment) DO UPDATE"
            " SET debits_posted_fen = ledger_control.debits_posted_fen + excluded.debits_posted_fen,"
            " credits_posted_fen = ledger_control.credits_posted_fen + excluded.credits_posted_fen"
        ),
        [
            {
                "segment": segment,
                "debits_fen": debits_fen.get(segment, 0),
                "credits_fen": credits_fen.get(segment, 0),
            }
            for segment in sorted(debits_fen.keys() | credits_fen.keys())
        ],
    )


def _by_segment(amounts_fen: Mapping[str, int]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for code, amount_fen in amounts_fen.items():
        segment = segment_of(code)
        sums[segment] = sums.get(segment, 0) + amount_fen
    return sums
