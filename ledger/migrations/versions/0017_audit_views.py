"""Views for auditors: the journal, the ledger, the trial balance and the holds, under names that stay."""

from alembic import op

revision = "0017_audit_views"
down_revision = "0013_insurer_days"

JOURNAL = """
SELECT e.business_date, e.id AS entry, e.reference, e.kind, e.event_at, e.posted_at, e.narrative,
  original.reference AS reverses, l.id - e.first_line_id + 1 AS line, debit.code AS debit, credit.code AS credit,
  l.amount_fen, l.item
FROM ledger_line l
JOIN ledger_entry e ON e.id = l.entry_id
JOIN ledger_account debit ON debit.id = l.debit_id
JOIN ledger_account credit ON credit.id = l.credit_id
LEFT JOIN ledger_entry original ON original.id = e.reverses_id
"""
LEDGER = """
SELECT debit AS account, business_date, entry, line, reference, item, amount_fen AS debit_fen, 0 AS credit_fen,
  credit AS counter_account
FROM audit_general_journal
UNION ALL
SELECT credit, business_date, entry, line, reference, item, 0, amount_fen, debit
FROM audit_general_journal
"""
TRIAL_BALANCE = """
SELECT a.code, a.kind, t.debits_posted_fen AS debits_fen, t.credits_posted_fen AS credits_fen,
  CASE WHEN a.kind IN ('asset', 'expense') THEN t.debits_posted_fen - t.credits_posted_fen
    ELSE t.credits_posted_fen - t.debits_posted_fen END AS balance_fen
FROM ledger_account a JOIN ledger_total t ON t.account_id = a.id
"""
# How a hold ended is an event; each ends once.
HOLDS = """
SELECT h.reference, h.kind, h.event_at, h.placed_at, h.expires_at, h.narrative, l.number AS line,
  debit.code AS debit, credit.code AS credit, l.amount_fen, l.item,
  CASE ended.kind WHEN 'hold_settled' THEN 'settled' WHEN 'hold_voided' THEN 'voided'
    WHEN 'hold_expired' THEN 'expired' ELSE 'open' END AS state,
  ended.at AS ended_at, settling.reference AS settled_by
FROM ledger_hold h
JOIN ledger_hold_line l ON l.hold_id = h.id
JOIN ledger_account debit ON debit.id = l.debit_id
JOIN ledger_account credit ON credit.id = l.credit_id
LEFT JOIN ledger_event ended ON ended.subject = h.reference
  AND ended.kind IN ('hold_settled', 'hold_voided', 'hold_expired')
LEFT JOIN ledger_entry settling ON settling.settles_id = h.id
"""
VIEWS = {
    "audit_general_journal": JOURNAL,
    "audit_general_ledger": LEDGER,
    "audit_trial_balance": TRIAL_BALANCE,
    "audit_holds": HOLDS,
}


def upgrade() -> None:
    for name, query in VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW {name}")
