"""Settlement's steps of the night: load the facts, decide, hand over what is to be written."""

import json
from datetime import date, timedelta

from sqlalchemy import Connection, Engine, func, select

from card.hsm.errors import HsmError
from clearing.atomic_files import write_bytes
from clearing.context import Night, StepRefused, StepResult
from clearing.interop.centres import centre_codes
from ledger.accounts import open_accounts
from ledger.chart import account
from ledger.day import DayOrderError, begin_close, finish_close
from ledger.db import reading
from ledger.entry import Refused as EntryRefused
from ledger.journal import of_day
from ledger.post import post
from ledger.seal import day_contents, store_seal
from ledger.tables import entry as entry_table
from settlement.agreements import agreements_on
from settlement.bank_files import BankFileInvalid, credit_transfer
from settlement.calendar import YearUnknown, load_calendar
from settlement.day_end import owed_at, taken_for_clearing
from settlement.instructions import instruct as instructions_for
from settlement.instructions import store_instructions
from settlement.netting import Refused, Role, Standing, net_entries, net_positions
from settlement.night_log import last_done
from settlement.participants import SCHEME, participants_of
from settlement.positions import positions_of, store_positions


def close_day(_engine: Engine, night: Night) -> StepResult:
    """Cut the business day off and open the next; online traffic goes on into that one."""
    tomorrow = night.business_date + timedelta(days=1)

    def write(conn: Connection) -> None:
        try:
            begin_close(conn, night.business_date, at=night.at)
        except DayOrderError as wrong:
            raise StepRefused("close_day", str(wrong), "run the nights in the order of their days") from wrong

    return StepResult({"next_day": int(f"{tomorrow:%Y%m%d}")}, write=write)


def net(engine: Engine, night: Night) -> StepResult:
    """Net what every participant is owed, and make it payable less the fee."""
    with reading(engine) as conn:
        centres = centre_codes(conn)
        positions = net_positions(
            owed_at(conn, night.business_date),
            payers_of(conn, night.business_date),
            agreements_on(conn, night.business_date),
            participants_of(conn),
        )
    if isinstance(positions, Refused):
        raise StepRefused("net", positions.message, positions.remedy)

    def write(conn: Connection) -> None:
        netted = [row for row in positions if row.standing is Standing.NETTED]
        codes = [*(f"payable:{row.party}" for row in netted), "income:fee"]
        open_accounts(conn, [account(code) for code in codes], at=night.at)
        entries = net_entries(positions, night.business_date, centres, event_at=night.at)
        for outcome in post(conn, entries, at=night.at, closing=True):
            if isinstance(outcome, EntryRefused):
                raise StepRefused(
                    "net", f"{outcome.reference}: {outcome.message}", "put right what the ledger names"
                )
        store_positions(conn, night.business_date, positions)

    mine = [row for row in positions if row.role is Role.PARTICIPANT]
    return StepResult(
        {
            "participants": len(mine),
            "carried": sum(row.standing is Standing.CARRIED for row in mine),
            "gross_fen": sum(row.gross_fen for row in mine),
            "fee_fen": sum(row.fee_fen for row in mine),
            "net_fen": sum(row.position_fen for row in mine),
        },
        write=write,
    )


def instruct(engine: Engine, night: Night) -> StepResult:
    """Make a payment instruction for every netted participant, and the bank's file of all of them."""
    with reading(engine) as conn:
        positions = positions_of(conn, night.business_date)
        participants = participants_of(conn)
        try:
            instructions = instructions_for(
                positions,
                night.business_date,
                participants=participants,
                agreements=agreements_on(conn, night.business_date),
                calendar=load_calendar(conn),
            )
        except YearUnknown as unknown:
            raise StepRefused("instruct", unknown.reason, unknown.remedy) from unknown
    if not instructions:
        return StepResult({"instructions": 0, "total_fen": 0})
    if SCHEME not in participants:
        raise StepRefused(
            "instruct",
            "the scheme has no bank account to pay from",
            f"register a participant {SCHEME} with the account of the customer-funds reserve (`onecard city apply`)",
        )
    try:
        file = credit_transfer(
            instructions,
            debtor=participants[SCHEME],
            business_date=night.business_date,
            made_at=night.at,
        )
    except BankFileInvalid as invalid:
        raise StepRefused(
            "instruct", f"the bank file is not valid: {invalid}", "correct and run again"
        ) from invalid
    path = write_bytes(night.folder / "out" / "bank" / file.name, file.data)

    def write(conn: Connection) -> None:
        store_instructions(conn, instructions, file.message_id, at=night.at)

    return StepResult({"instructions": file.count, "total_fen": file.total_fen}, (path,), write)


def seal(engine: Engine, night: Night) -> StepResult:
    """Sign the day's Merkle root in the HSM, keep it, and close the day for good."""
    with reading(engine) as conn:
        contents = day_contents(conn, night.business_date)
    try:
        key_version, signature = night.hsm.sign(contents.root)
    except HsmError as error:
        raise StepRefused(
            "seal", f"the HSM did not sign: {error}", "bring the HSM back and run again"
        ) from error
    content = {
        "business_date": night.business_date.isoformat(),
        "entries": contents.entries,
        "merkle_root": contents.merkle_root.hex(),
        "chain": contents.chain.hex(),
        "registers": contents.registers._asdict(),
        "registers_root": contents.registers_root.hex(),
        "previous_root": contents.previous_root.hex(),
        "root": contents.root.hex(),
        "key_version": key_version,
        "signature": signature.hex(),
    }
    path = write_bytes(
        night.folder / "out" / "reports" / "seal.json", json.dumps(content, indent=2).encode() + b"\n"
    )

    def write(conn: Connection) -> None:
        # Entries are append-only, so an equal count means the same entries.
        if _entries_on(conn, night.business_date) != contents.entries:
            raise StepRefused(
                "seal",
                "the day got entries while it was being signed",
                "find out who books onto a closing day",
            )
        finish_close(conn, night.business_date, at=night.at)
        store_seal(conn, contents, key_version, signature, at=night.at)

    counts = {"entries": contents.entries, "key_version": key_version}
    return StepResult(counts, (path,), write, ahead=True)


def payers_of(conn: Connection, business_date: date) -> dict[str, int]:
    """What was taken since the last netting, by source, and what earlier nights had carried forward."""
    last = last_done(conn, "net", before=business_date)
    taken = dict(taken_for_clearing(conn, last, business_date))
    if last is not None:
        taken["brought_forward"] = sum(owed_at(conn, last).values())
    return taken


def _entries_on(conn: Connection, business_date: date) -> int:
    query = select(func.count()).select_from(entry_table).where(of_day(business_date))
    return conn.execute(query).scalar_one()
