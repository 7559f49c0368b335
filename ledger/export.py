"""The whole books as plain text that other accountants' programs read: hledger and Beancount.

Both files prove themselves: they end with an assertion of every balance. Debits are positive in both.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, timedelta
from hashlib import sha256
from typing import TextIO
from urllib.parse import quote

from sqlalchemy import Connection, func, select

from ledger import tables
from ledger.accounts import Kind
from ledger.archive import Archive
from ledger.balances import Balance, balances
from ledger.journal import Recorded, read_day, whole

HLEDGER_ROOTS = {
    Kind.ASSET: "assets",
    Kind.LIABILITY: "liabilities",
    Kind.EQUITY: "equity",
    Kind.INCOME: "income",
    Kind.EXPENSE: "expenses",
}
"""Our codes follow the root as they are: `liabilities:purse:0310…`."""


def write_hledger(conn: Connection, out: TextIO, archive: Archive | None = None) -> int:
    """Write an hledger journal and return the number of entries. Raises LinesArchived.

    An entry's reference is the transaction's code, and a line's item a tag, both percent-encoded.
    """
    accounts = balances(conn)
    names = {account.code: f"{HLEDGER_ROOTS[account.kind]}:{account.code}" for account in accounts}
    out.write("commodity CNY 1000.00\n\n")
    for account in accounts:
        out.write(f"account {names[account.code]}  ; type:{_hledger_type(account.kind)}\n")
    entries = 0
    for recorded in _by_date(conn, archive):
        out.writelines(_hledger_entry(recorded, names))
        entries += 1
    last = _last_date(conn)
    if last is not None:
        out.write(f"\n{last} closing balances as the ledger has them\n")
        for account in accounts:
            out.write(f"    {names[account.code]}  CNY 0.00 = CNY {_yuan(account.net_fen)}\n")
    return entries


def write_beancount(conn: Connection, out: TextIO, archive: Archive | None = None) -> int:
    """Write a Beancount file and return the number of entries; each account's code is its metadata `code`.

    Raises LinesArchived.
    """
    accounts = balances(conn)
    names = beancount_names(accounts)
    first, last = _first_date(conn), _last_date(conn)
    out.write('option "title" "City one-card ledger"\noption "operating_currency" "CNY"\n\n')
    if first is None or last is None:
        return 0
    for account in accounts:
        out.write(f"{first} open {names[account.code]} CNY\n  code: {json.dumps(account.code)}\n")
    entries = 0
    for recorded in _by_date(conn, archive):
        out.writelines(_beancount_entry(recorded, names))
        entries += 1
    # Beancount asserts a balance at the start of a date.
    day_after = last + timedelta(days=1)
    out.write("\n")
    for account in accounts:
        out.write(f"{day_after} balance {names[account.code]}  {_yuan(account.net_fen)} ~ 0.00 CNY\n")
    return entries


def beancount_names(accounts: Iterable[Balance]) -> dict[str, str]:
    """Names that Beancount takes, one for each code; where two codes would share one, both get a suffix."""
    natural: dict[str, list[str]] = {}
    for account in accounts:
        parts = [_component(part) for part in account.code.split(":")]
        natural.setdefault(":".join([HLEDGER_ROOTS[account.kind].capitalize(), *parts]), []).append(
            account.code
        )
    names = {}
    for name, codes in natural.items():
        for code in codes:
            suffix = f"-{sha256(code.encode('ascii')).hexdigest()[:12]}" if len(codes) > 1 else ""
            names[code] = name + suffix
    return names


def _component(part: str) -> str:
    """A part of a code as Beancount wants it: capital or digit first, then letters, digits and dashes."""
    plain = part.replace("_", "-").replace(".", "-")
    return "X" + plain if plain.startswith("-") else plain[:1].upper() + plain[1:]


def _hledger_entry(recorded: Recorded, names: dict[str, str]) -> Iterator[str]:
    entry = recorded.entry
    # A semicolon would start a comment, and a bar split payee from note.
    narrative = entry.narrative.replace(";", ",").replace("|", "/")
    yield f"\n{entry.business_date} ({_quoted(entry.reference)}) {narrative}".rstrip() + "\n"
    yield f"    ; kind:{_quoted(entry.kind)}, event_at:{_instant(recorded)}\n"
    if entry.reverses is not None:
        yield f"    ; reverses:{_quoted(entry.reverses)}\n"
    if entry.settles is not None:
        yield f"    ; settles:{_quoted(entry.settles)}\n"
    for line in entry.lines:
        item = f"  ; item:{_quoted(line.item)}" if line.item else ""
        yield f"    {names[line.debit]}  CNY {_yuan(line.amount_fen)}{item}\n"
        yield f"    {names[line.credit]}  CNY {_yuan(-line.amount_fen)}{item}\n"


def _beancount_entry(recorded: Recorded, names: dict[str, str]) -> Iterator[str]:
    entry = recorded.entry
    yield f"\n{entry.business_date} * {_string(entry.narrative)}\n"
    yield f"  reference: {_string(entry.reference)}\n  kind: {_string(entry.kind)}\n"
    yield f'  event-at: "{_instant(recorded)}"\n'
    if entry.reverses is not None:
        yield f"  reverses: {_string(entry.reverses)}\n"
    if entry.settles is not None:
        yield f"  settles: {_string(entry.settles)}\n"
    for line in entry.lines:
        item = f"    item: {_string(line.item)}\n" if line.item else ""
        yield f"  {names[line.debit]}  {_yuan(line.amount_fen)} CNY\n{item}"
        yield f"  {names[line.credit]}  {_yuan(-line.amount_fen)} CNY\n{item}"


def _by_date(conn: Connection, archive: Archive | None) -> Iterator[Recorded]:
    """The entries in the order of their business dates, which a night that books into the last day breaks."""
    for business_date in (
        conn.execute(select(tables.day.c.business_date).order_by("business_date")).scalars().all()
    ):
        yield from map(whole, read_day(conn, business_date, archive))


def _first_date(conn: Connection) -> date | None:
    return conn.execute(select(func.min(tables.day.c.business_date))).scalar_one_or_none()


def _last_date(conn: Connection) -> date | None:
    return conn.execute(select(func.max(tables.day.c.business_date))).scalar_one_or_none()


def _instant(recorded: Recorded) -> str:
    return recorded.entry.event_at.astimezone(UTC).isoformat(timespec="microseconds")


def _quoted(text: str) -> str:
    return quote(text, safe=":/.-_+@#=")


def _string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _hledger_type(kind: Kind) -> str:
    return {Kind.INCOME: "R", Kind.EXPENSE: "X"}.get(kind, kind.value[0].upper())


def _yuan(amount_fen: int) -> str:
    whole, rest = divmod(abs(amount_fen), 100)
    return f"{'-' if amount_fen < 0 else ''}{whole}.{rest:02d}"
