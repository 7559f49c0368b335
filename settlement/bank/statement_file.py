"""What a camt.053 says: an account's booked balances at both ends of a time, and every line between them, in fen.

A line here is one payment: an entry of the bank that stands for several is given payment by payment, whose sum must be
the entry's. What is only pending is not booked, and is counted but not taken.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from ledger.entry import json_bytes
from ledger.money import yuan
from settlement.bank.xml_reading import FileFlaw, Part, one_of_words, plain, shown

_DIRECTIONS: Final = {"CRDT": 1, "DBIT": -1}
_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}
_ENTRY_STATES: Final = {"BOOK": True, "PDNG": False, "INFO": False, "FUTR": False}
_NOT_PROVIDED: Final = "NOTPROVIDED"


class Direction(StrEnum):
    """Whether money came into the account or left it."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class BankLine:
    """One payment as the bank booked it; `position` counts from 1 within the statement."""

    position: int
    amount_fen: int
    direction: Direction
    reversal: bool
    bank_day: date
    value_on: date
    end_to_end_id: str
    bank_reference: str
    party: str
    party_account: str
    remittance: str

    @property
    def signed_fen(self) -> int:
        """What it adds to the account."""
        return self.amount_fen if self.direction is Direction.IN else -self.amount_fen


@dataclass(frozen=True, slots=True)
class Statement:
    """An account between two booked balances; `day` is that of the closing one. `pending` entries are not in it."""

    account_no: str
    statement_id: str
    sequence: int
    opening_on: date
    opening_fen: int
    day: date
    closing_fen: int
    lines: tuple[BankLine, ...]
    pending: int

    @property
    def content(self) -> str:
        """SHA-256 in hex of what it says, however the XML was written."""
        said = [str(one) for one in astuple(self)[:-2]]
        said += [str(one) for line in self.lines for one in astuple(line)]
        return hashlib.sha256(json_bytes(said)).hexdigest()


def read_statements(root: Part) -> tuple[Statement, ...]:
    """The statements of a `camt.053` message, at least one. Raises Unfit."""
    message = root.one("BkToCstmrStmt")
    statements = list(message.each("Stmt")) or [message.one("Stmt")]
    return tuple(map(_statement, statements))


def _statement(part: Part) -> Statement:
    account = part.one("Acct/Id")
    account_no = account.text("IBAN" if account.maybe("IBAN") else "Othr/Id", 34)
    opening_on, opening_fen = _balance(part, "OPBD", "PRCD")
    day, closing_fen = _balance(part, "CLBD")
    if day < opening_on:
        remedy = "have the bank put its balances in order"
        raise part.unfit(FileFlaw.FIELD_UNFIT, f"closes on {day}, before it opens on {opening_on}", remedy)
    lines: list[BankLine] = []
    pending = 0
    for entry in part.each("Ntry"):
        if _ENTRY_STATES[_entry_state(entry)]:
            lines += _lines(entry, len(lines) + 1)
        else:
            pending += 1
    return Statement(
        account_no, part.text("Id", 35), _sequence(part), opening_on, opening_fen, day, closing_fen, tuple(lines),
        pending,
    )  # fmt: skip


def _sequence(part: Part) -> int:
    """The electronic sequence number, or where a bank has none, the legal one."""
    name = "ElctrncSeqNb" if part.maybe("ElctrncSeqNb") or not part.maybe("LglSeqNb") else "LglSeqNb"
    text = part.text(name, 18)
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise part.one(name).unfit(
            FileFlaw.FIELD_UNFIT, shown(text), "have the bank number its statements from 1"
        )
    return int(text)


def _balance(part: Part, *kinds: str) -> tuple[date, int]:
    """The date and amount of the first of these kinds of balances that is there, less than zero where it is a debit."""
    found: dict[str, Part] = {}
    for balance in part.each("Bal"):
        kind = balance.maybe("Tp/CdOrPrtry/Cd")
        if kind is None or kind.value not in kinds:
            continue
        if kind.value in found:
            raise balance.unfit(
                FileFlaw.FIELD_REPEATED, f"{kind.value} is there twice", "have the bank say it once"
            )
        found[kind.value] = balance
    for kind_wanted in kinds:
        if kind_wanted in found:
            balance = found[kind_wanted]
            return balance.day("Dt"), balance.amount_fen("Amt") * _sign(balance)
    remedy = f"have the bank give its booked balance {' or '.join(kinds)}"
    raise part.unfit(FileFlaw.FIELD_MISSING, f"has no balance of type {' or '.join(kinds)}", remedy)


def _sign(part: Part) -> int:
    return _DIRECTIONS[one_of_words(part, "CdtDbtInd", _DIRECTIONS)]


def _entry_state(entry: Part) -> str:
    """Booked, pending or for information; the older versions say it without a `Cd` around it."""
    return one_of_words(entry, "Sts/Cd" if entry.maybe("Sts/Cd") else "Sts", _ENTRY_STATES)


def _lines(entry: Part, position: int) -> Iterator[BankLine]:
    """The payments of a booked entry; an amount of nothing is no line. Raises Unfit where they are not its sum."""
    whole_fen = entry.amount_fen("Amt") * _sign(entry)
    details = [detail for group in entry.each("NtryDtls") for detail in group.each("TxDtls")]
    if not details:
        yield from _line(entry, None, position, whole_fen)
        return
    parts_fen = [_detail_fen(entry, detail, whole_fen, alone=len(details) == 1) for detail in details]
    if sum(parts_fen) != whole_fen:
        what = f"is {yuan(whole_fen)} yuan, its {len(details)} payments sum to {yuan(sum(parts_fen))}"
        raise entry.one("Amt").unfit(FileFlaw.SUM_DIFFERS, what, "have the bank send the entry again")
    for detail, part_fen in zip(details, parts_fen, strict=True):
        yield from (made := list(_line(entry, detail, position, part_fen)))
        position += len(made)


def _detail_fen(entry: Part, detail: Part, whole_fen: int, *, alone: bool) -> int:
    """What one payment of an entry comes to: as it says itself, or all of the entry where it is alone."""
    place = next(
        (path for path in ("Amt", "AmtDtls/TxAmt/Amt", "AmtDtls/InstdAmt/Amt") if detail.maybe(path)), None
    )
    if place is None and alone:
        return whole_fen
    amount_fen = detail.amount_fen(place or "Amt")
    return amount_fen * _sign(detail if detail.maybe("CdtDbtInd") else entry)


def _line(entry: Part, detail: Part | None, position: int, signed_fen: int) -> Iterator[BankLine]:
    if not signed_fen:
        return
    direction = Direction.IN if signed_fen > 0 else Direction.OUT
    bank_day = entry.day("BookgDt")
    reversal = entry.maybe("RvslInd") is not None and _TRUTHS[one_of_words(entry, "RvslInd", _TRUTHS)]
    end_to_end_id, reference, party, party_account, remittance = "", "", "", "", ""
    if detail is not None:
        end_to_end_id = detail.maybe_text("Refs/EndToEndId", 35)
        reference = detail.maybe_text("Refs/AcctSvcrRef", 35)
        who = "Dbtr" if direction is Direction.IN else "Cdtr"
        named = f"RltdPties/{who}/Pty/Nm" if detail.maybe(f"RltdPties/{who}/Pty") else f"RltdPties/{who}/Nm"
        party = detail.words(named, 140)
        account = detail.maybe(f"RltdPties/{who}Acct/Id")
        if account is not None:
            party_account = account.maybe_text("IBAN", 34) or account.maybe_text("Othr/Id", 34)
        remittance = _remittance(detail)
    yield BankLine(
        position,
        abs(signed_fen),
        direction,
        reversal,
        bank_day,
        entry.day("ValDt") if entry.maybe("ValDt") else bank_day,
        "" if end_to_end_id == _NOT_PROVIDED else end_to_end_id,
        reference or entry.maybe_text("AcctSvcrRef", 35),
        party,
        party_account,
        remittance or entry.words("AddtlNtryInf", 500),
    )


def _remittance(detail: Part) -> str:
    """What the payer wrote, and why a payment came back."""
    said: list[str] = []
    for remitted in detail.each("RmtInf"):
        said += [plain(one.value, 140) for one in remitted.each("Ustrd")]
    for back in detail.each("RtrInf"):
        said += [back.words("Rsn/Cd", 35), *(plain(one.value, 140) for one in back.each("AddtlInf"))]
    return " ".join(one for one in said if one)[:500]
