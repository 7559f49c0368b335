"""How the day's taps leave the depots, and what can happen to them on the way."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

from card.hsm.client import Hsm
from city.day import Mischief
from city.street import Street
from clearing.wire.batch import TapRecord, write_batch
from clearing.wire.bcd import pack_moment
from terminals.outbox import Outbox
from terminals.upload import MAC_KEY_VERSION, Uploader

UNREADABLE_VERSION = 9
MOST_RECORDS = 1_000_000


def present(
    street: Street,
    hsm: Hsm,
    inbox: Path,
    *,
    business_date: date,
    at: datetime,
    mischief: Mapping[str, Mischief],
) -> list[Path]:
    """Let every depot drop the day's batch files into the inbox; records of unlucky cards are spoilt before."""
    files = []
    for operator, outbox in street.depots.items():
        if mischief:
            _make_spoilt(operator, outbox, hsm, business_date, at, mischief)
        uploader = Uploader(operator, outbox, hsm, inbox)
        uploader.make(business_date, at=at)
        files += uploader.send()
    return files


def spoil(records: Sequence[bytes], mischief: Mapping[str, Mischief]) -> list[bytes]:
    """The records with those of unlucky cards spoilt: damaged, doubled, a bit turned, or one of three lost."""
    spoilt, seen = [], dict.fromkeys(mischief, 0)
    for record in records:
        card_no = TapRecord.unpack(record).card_no
        kind = mischief.get(card_no)
        if kind is not None:
            seen[card_no] += 1
        if kind is Mischief.MALFORMED:
            spoilt.append(bytes([UNREADABLE_VERSION]) + record[1:])
        elif kind is Mischief.DUPLICATE:
            spoilt += [record, record]
        elif kind is Mischief.TAC_WRONG:
            spoilt.append(record[:46] + bytes([record[46] ^ 0x01]) + record[47:])
        elif not (kind is Mischief.BALANCE_GAP and seen[card_no] == 2):
            spoilt.append(record)
    return spoilt


def _make_spoilt(
    operator: str,
    outbox: Outbox,
    hsm: Hsm,
    business_date: date,
    at: datetime,
    mischief: Mapping[str, Mischief],
) -> None:
    waiting = outbox.waiting(MOST_RECORDS)
    if not waiting:
        return
    sequence = outbox.next_batch()
    body = write_batch(
        operator=operator,
        sequence=sequence,
        business_date=business_date,
        made_at=pack_moment(at),
        mac_key_version=MAC_KEY_VERSION,
        records=spoil([record for _, record in waiting], mischief),
        mac=lambda digest: hsm.batch_mac(operator, digest, MAC_KEY_VERSION),
    )
    outbox.store_batch(
        sequence=sequence,
        operator=operator,
        business_date=business_date,
        body=body,
        numbers=[number for number, _ in waiting],
    )
