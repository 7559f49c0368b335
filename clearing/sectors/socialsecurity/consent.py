"""The record read by others: only as the holder has consented, and as much as the purpose needs."""

from dataclasses import replace

from sqlalchemy import Connection

from card.link_policy import Disclosure
from clearing.sectors.socialsecurity.record import SocialRecord, record_of
from ledger.archive import Archive


def disclosed_record(
    conn: Connection, holder: str, disclosure: Disclosure, *, archive: Archive | None = None
) -> SocialRecord:
    """The record as far as a read of the link, logged before by `card.links.read_link`, discloses it.

    Where the purpose discloses a record in full, all of it; where masked, what the holder is insured by and
    which months are paid; where only that there is one, nothing of it.
    """
    record = record_of(conn, holder, archive=archive)
    if disclosure is Disclosure.FULL:
        return record
    masked = replace(record, open_bills=(), benefits=(), movements={})
    return masked if disclosure is Disclosure.MASKED else replace(masked, insured=())
