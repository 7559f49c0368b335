"""Multilateral netting: what each participant gets, what the scheme keeps, and who paid for it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from clearing.tap_accounts import owed_account
from ledger.entry import Entry, Line
from settlement.agreements import Agreement
from settlement.participants import SCHEME


class Role(StrEnum):
    """On which side of the netting a party stands."""

    PARTICIPANT = "participant"
    SCHEME = "scheme"
    PAYER = "payer"


class Standing(StrEnum):
    """What becomes of a position."""

    NETTED = "netted"
    CARRIED = "carried"  # a participant that owes money: nothing is posted, the next night starts from here
    COUNTERPART = "counterpart"


@dataclass(frozen=True, slots=True)
class Position:
    """One party of a night; positive means it is owed money. For participants gross = fee + position."""

    role: Role
    party: str
    gross_fen: int
    fee_fen: int
    position_fen: int
    standing: Standing


class NettingRefusal(StrEnum):
    """Why a night cannot be netted, in order of precedence."""

    PARTICIPANT_UNKNOWN = "participant_unknown"
    AGREEMENT_MISSING = "agreement_missing"
    POSITIONS_DIFFER = "positions_differ"


@dataclass(frozen=True, slots=True)
class Refused:
    """A night that cannot be netted, and what a person does about it."""

    refusal: NettingRefusal
    message: str
    remedy: str


def net_positions(
    gross_fen: Mapping[str, int],
    payers_fen: Mapping[str, int],
    agreements: Mapping[str, Agreement],
    known: Iterable[str],
) -> tuple[Position, ...] | Refused:
    """Net what participants are owed (by participant) against what was taken from whom (by source).

    Both are in fen and come from different sides of the books, so that their positions sum to zero is
    a finding and not a definition. A participant without a movement needs no agreement.
    """
    moved = {party: amount for party, amount in sorted(gross_fen.items()) if amount}
    refused = _unknown(moved, frozenset(known), agreements)
    if refused:
        return refused
    rows = [_participant(party, amount, agreements) for party, amount in moved.items()]
    fee_fen = sum(row.fee_fen for row in rows)
    rows.append(Position(Role.SCHEME, SCHEME, 0, 0, fee_fen, Standing.COUNTERPART))
    rows += [
        Position(Role.PAYER, party, 0, 0, -amount, Standing.COUNTERPART)
        for party, amount in sorted(payers_fen.items())
        if amount
    ]
    difference_fen = sum(row.position_fen for row in rows)
    if difference_fen:
        return Refused(
            NettingRefusal.POSITIONS_DIFFER,
            f"positions sum to {difference_fen} fen and not to zero: participants are owed "
            f"{sum(moved.values())} fen, {sum(payers_fen.values())} fen were taken for them",
            "find the entries behind the difference; nothing is netted until both sides agree",
        )
    return tuple(rows)


def net_entries(
    positions: Sequence[Position],
    business_date: date,
    centres: Collection[str] = (),
    *,
    event_at: datetime,
) -> list[Entry]:
    """One entry a netted participant: its net becomes payable, its fee our income; `centres` are other cities'."""
    return [
        Entry(
            reference=net_reference(business_date, row.party),
            kind="net",
            business_date=business_date,
            event_at=event_at,
            lines=tuple(
                Line(debit=owed_account(row.party, centres), credit=credit, amount_fen=amount, item=item)
                for credit, amount, item in (
                    (f"payable:{row.party}", row.position_fen, "net"),
                    ("income:fee", row.fee_fen, "fee"),
                )
                if amount
            ),
            narrative=f"net of {business_date} for {row.party}",
        )
        for row in positions
        if row.standing is Standing.NETTED
    ]


def net_reference(business_date: date, participant: str) -> str:
    """The natural key of a participant's netting entry."""
    return f"net:{business_date}:{participant}"


def _unknown(
    moved: Mapping[str, int], known: frozenset[str], agreements: Mapping[str, Agreement]
) -> Refused | None:
    strangers = [party for party in moved if party not in known]
    if strangers:
        return Refused(
            NettingRefusal.PARTICIPANT_UNKNOWN,
            f"{_list(strangers)} has a balance to be netted and is no registered participant",
            "register it with its bank account (`onecard city apply`), then run the night again",
        )
    without = [party for party, amount in moved.items() if amount > 0 and party not in agreements]
    if without:
        return Refused(
            NettingRefusal.AGREEMENT_MISSING,
            f"{_list(without)} has no agreement in force on this business date",
            "register one that covers the date (`onecard city apply`), then run the night again",
        )
    return None


def _participant(party: str, gross_fen: int, agreements: Mapping[str, Agreement]) -> Position:
    if gross_fen < 0:
        return Position(Role.PARTICIPANT, party, gross_fen, 0, gross_fen, Standing.CARRIED)
    net_fen, fee_fen = agreements[party].share(gross_fen)
    return Position(Role.PARTICIPANT, party, gross_fen, fee_fen, net_fen, Standing.NETTED)


def _list(parties: Sequence[str]) -> str:
    return "participant " + ", ".join(parties)
