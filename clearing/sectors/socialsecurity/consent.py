"""The record read by others: only as the holder has consented, as much as the purpose needs, and logged."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from card.link_policy import Disclosure, LinkKind, Purpose
from card.links import LinkRefused, read_link
from card.vault import Vault
from clearing.sectors.socialsecurity.record import SocialRecord, record_of


def read_record(
    conn: Connection, vault: Vault, holder: str, *, reader: str, purpose: Purpose, at: datetime
) -> SocialRecord | LinkRefused:
    """The record as far as `purpose` needs it; the read is logged whatever comes of it, so commit it.

    Where the purpose discloses a record in full, all of it; where masked, what the holder is insured by and
    which months are paid; where only that there is one, nothing of it.
    """
    view = read_link(conn, vault, holder, LinkKind.SOCIAL_SECURITY, reader=reader, purpose=purpose, at=at)
    if isinstance(view, LinkRefused):
        return view
    record = record_of(conn, holder)
    if view.disclosure is Disclosure.FULL:
        return record
    masked = replace(record, open_bills=(), benefits=(), movements={})
    return masked if view.disclosure is Disclosure.MASKED else replace(masked, insured=())
