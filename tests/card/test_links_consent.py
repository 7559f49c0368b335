"""Links: read by whom the holder let, for what, until when; and the holder sees every look."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from card.holders import Enrolled, enrol_all, forget
from card.link_policy import DISCLOSURES, read_refusal
from card.links import (
    Disclosure,
    Grant,
    Granted,
    Link,
    LinkKind,
    LinkRefusal,
    LinkRefused,
    LinkView,
    Purpose,
    grant,
    grants_of,
    holder_by_link,
    read_link,
    reads_of,
    revoke,
    unlink,
)
from card.loss import lift_loss, report_loss
from card.tables import link_number
from card.vault import Vault
from ledger.db import reading, writing
from tests.card.people import NOW, person

LATER, EXPIRY = NOW + timedelta(days=1), NOW + timedelta(days=30)
NUMBER = "KM5301020099"
HEALTH = LinkKind.HEALTH_CARD


@pytest.fixture
def owners(engine: Engine, vault: Vault) -> list[str]:
    """Two holders."""
    with writing(engine) as conn:
        answers = enrol_all(conn, vault, [person(1), person(2)], at=NOW)
    return [answer.holder for answer in answers if isinstance(answer, Enrolled)]


def consent(owner: str, kind: LinkKind = HEALTH, purpose: Purpose = Purpose.TREATMENT) -> Link:
    return Link(owner, kind, "" if kind is LinkKind.IDENTITY else NUMBER, "HOSP-1", purpose, EXPIRY)


def reason(answer: object) -> LinkRefusal:
    assert isinstance(answer, LinkRefused)
    return answer.reason


def test_a_reader_learns_what_its_purpose_needs_of_each_kind(
    engine: Engine, vault: Vault, owners: list[str]
) -> None:
    who = person(1)
    full = {LinkKind.IDENTITY: (who.identity_no, who.name)}
    part = {LinkKind.IDENTITY: ("530102********" + who.identity_no[-4:], "张**")}
    with writing(engine) as conn:
        for kind, purpose in product(LinkKind, Purpose):
            disclosure = DISCLOSURES.get((kind, purpose))
            answer = grant(conn, vault, consent(owners[0], kind, purpose), at=NOW)
            view = read_link(conn, vault, owners[0], kind, reader="HOSP-1", purpose=purpose, at=LATER)
            if disclosure is None:
                assert reason(answer) is reason(view) is LinkRefusal.PURPOSE_NOT_FITTING
                continue
            shown = {
                Disclosure.EXISTS: ("", ""),
                Disclosure.MASKED: part.get(kind, ("*" * 8 + NUMBER[-4:], "")),
                Disclosure.FULL: full.get(kind, (NUMBER, "")),
            }[disclosure]
            assert view == LinkView(owners[0], kind, purpose, disclosure, *shown)


GRANT = Grant("H1", HEALTH, "HOSP-1", Purpose.TREATMENT, NOW, EXPIRY, None)
REVOKED = replace(GRANT, revoked_at=NOW)
OTHER = replace(GRANT, purpose=Purpose.SETTLEMENT)


@pytest.mark.parametrize(
    ("grants", "purpose", "known", "locked", "days", "expected"),
    [
        ([], Purpose.BENEFIT, False, True, 0, LinkRefusal.PURPOSE_NOT_FITTING),
        ([], Purpose.TREATMENT, False, True, 0, LinkRefusal.HOLDER_UNKNOWN),
        ([], Purpose.TREATMENT, True, True, 0, LinkRefusal.HOLDER_LOCKED),
        ([], Purpose.TREATMENT, True, False, 0, LinkRefusal.NOT_GRANTED),
        ([OTHER], Purpose.TREATMENT, True, False, 90, LinkRefusal.PURPOSE_NOT_GRANTED),
        ([OTHER, REVOKED], Purpose.TREATMENT, True, False, 90, LinkRefusal.REVOKED),
        ([REVOKED, GRANT], Purpose.TREATMENT, True, False, 0, LinkRefusal.REVOKED),
        ([GRANT], Purpose.TREATMENT, True, False, 30, LinkRefusal.EXPIRED),
        ([GRANT, REVOKED], Purpose.TREATMENT, True, False, 29, None),
    ],
)
def test_the_first_reason_against_a_read_is_the_one_told(
    grants: list[Grant], purpose: Purpose, known: bool, locked: bool, days: int, expected: LinkRefusal | None
) -> None:
    at = NOW + timedelta(days=days)
    assert read_refusal(grants, HEALTH, purpose, at=at, known=known, locked=locked) is expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"purpose": Purpose.BENEFIT, "holder": "H0"}, LinkRefusal.PURPOSE_NOT_FITTING),
        ({"holder": "H0000000000", "number": ""}, LinkRefusal.HOLDER_UNKNOWN),
        ({"number": "", "expires_at": NOW}, LinkRefusal.NUMBER_MALFORMED),
        ({"number": "12345"}, LinkRefusal.NUMBER_MALFORMED),
        ({"kind": LinkKind.IDENTITY, "number": "530102199003071238"}, LinkRefusal.NUMBER_DIFFERS),
        ({"expires_at": NOW}, LinkRefusal.EXPIRY_PAST),
    ],
)
def test_a_consent_is_refused_for_the_first_reason_that_applies(
    engine: Engine, vault: Vault, owners: list[str], change: dict[str, object], expected: LinkRefusal
) -> None:
    with writing(engine) as conn:
        assert reason(grant(conn, vault, replace(consent(owners[0]), **change), at=NOW)) is expected  # type: ignore[arg-type]
        assert (grants_of(conn, owners[0]), conn.execute(select(link_number)).all()) == ([], [])


def test_a_number_is_one_holders_and_a_holder_has_one_number_of_a_kind(
    engine: Engine, vault: Vault, owners: list[str]
) -> None:
    first, second = (consent(owner) for owner in owners)
    with writing(engine) as conn:
        assert isinstance(grant(conn, vault, first, at=NOW), Granted)
        spelt = replace(first, number="km-5301 0200-99", granted_to="HOSP-2")
        assert isinstance(grant(conn, vault, spelt, at=NOW), Granted)
        assert isinstance(grant(conn, vault, replace(first, number="", granted_to="HOSP-3"), at=NOW), Granted)
        assert reason(grant(conn, vault, second, at=NOW)) is LinkRefusal.NUMBER_TAKEN
        assert (
            reason(grant(conn, vault, replace(first, number="KM0000000"), at=NOW))
            is LinkRefusal.NUMBER_DIFFERS
        )
        same_elsewhere = replace(second, kind=LinkKind.SOCIAL_SECURITY)
        assert isinstance(grant(conn, vault, same_elsewhere, at=NOW), Granted)
        assert holder_by_link(conn, vault, HEALTH, NUMBER.lower()) == owners[0]
        assert holder_by_link(conn, vault, LinkKind.SOCIAL_SECURITY, NUMBER) == owners[1]
        assert unlink(conn, owners[0], HEALTH, at=LATER) and not unlink(conn, owners[0], HEALTH, at=LATER)
        assert {one.revoked_at for one in grants_of(conn, owners[0])} == {LATER}
        assert holder_by_link(conn, vault, HEALTH, NUMBER) is None
        assert isinstance(grant(conn, vault, second, at=LATER), Granted)


def test_the_same_consent_again_changes_nothing_and_another_expiry_takes_its_place(
    engine: Engine, vault: Vault, owners: list[str]
) -> None:
    link = consent(owners[0])
    with writing(engine) as conn:
        first = grant(conn, vault, link, at=NOW)
        assert first == Granted(replace(GRANT, holder=owners[0]), first_time=True)
        assert grant(conn, vault, link, at=LATER) == replace(first, first_time=False)
        longer = grant(conn, vault, replace(link, expires_at=EXPIRY + timedelta(days=30)), at=LATER)
        assert isinstance(longer, Granted) and longer.first_time
        assert [(one.expires_at, one.revoked_at) for one in grants_of(conn, owners[0])] == [
            (EXPIRY + timedelta(days=30), None), (EXPIRY, LATER),
        ]  # fmt: skip
        look = read_link(
            conn, vault, owners[0], HEALTH, reader="HOSP-1", purpose=Purpose.TREATMENT, at=EXPIRY
        )
        assert isinstance(look, LinkView)


def test_a_revoked_consent_is_given_anew_only_by_the_holder(
    engine: Engine, vault: Vault, owners: list[str]
) -> None:
    def look() -> LinkView | LinkRefused:
        return read_link(conn, vault, owners[0], HEALTH, reader="HOSP-1", purpose=Purpose.TREATMENT, at=LATER)

    with writing(engine) as conn:
        grant(conn, vault, consent(owners[0]), at=NOW)
        grant(conn, vault, consent(owners[0], purpose=Purpose.SETTLEMENT), at=NOW)
        assert revoke(conn, owners[0], HEALTH, "HOSP-1", at=NOW, purpose=Purpose.TREATMENT) == 1
        assert reason(look()) is LinkRefusal.REVOKED
        assert revoke(conn, owners[0], HEALTH, "HOSP-1", at=NOW) == 1
        assert revoke(conn, owners[0], HEALTH, "HOSP-1", at=NOW) == 0
        grant(conn, vault, consent(owners[0]), at=NOW)
        assert isinstance(look(), LinkView)


def test_a_loss_locks_the_links_and_lifting_it_unlocks_them(
    engine: Engine, vault: Vault, owners: list[str]
) -> None:
    def look() -> LinkView | LinkRefused:
        return read_link(conn, vault, owners[0], HEALTH, reader="HOSP-1", purpose=Purpose.TREATMENT, at=LATER)

    with writing(engine) as conn:
        grant(conn, vault, consent(owners[0]), at=NOW)
        report_loss(conn, owners[0], at=NOW)
        assert reason(look()) is LinkRefusal.HOLDER_LOCKED
        assert reason(grant(conn, vault, consent(owners[0]), at=NOW)) is LinkRefusal.HOLDER_LOCKED
        lift_loss(conn, owners[0], at=NOW)
        assert isinstance(look(), LinkView)


def test_the_holder_sees_every_look_the_refused_ones_too(
    engine: Engine, vault: Vault, owners: list[str]
) -> None:
    def look(owner: str, reader: str, purpose: Purpose = Purpose.TREATMENT) -> None:
        read_link(conn, vault, owner, HEALTH, reader=reader, purpose=purpose, at=LATER)

    with writing(engine) as conn:
        grant(conn, vault, consent(owners[0]), at=NOW)
        look(owners[0], "HOSP-1")
        look(owners[0], "HOSP-2")
        look(owners[1], "HOSP-1")
        look(owners[0], "HOSP-1", Purpose.SETTLEMENT)
        look("H" + "9" * 100, "HOSP-1")
    with reading(engine) as conn:
        log = reads_of(conn, owners[0])
        assert [(line.reader, line.purpose, line.outcome, line.read_at) for line in log] == [
            ("HOSP-1", "settlement", "purpose_not_granted", LATER),
            ("HOSP-2", "treatment", "not_granted", LATER),
            ("HOSP-1", "treatment", "full", LATER),
        ]
        assert reads_of(conn, owners[0], limit=1) == log[:1]
        assert reads_of(conn, owners[0], limit=1, before=log[0].id) == log[1:2]
        assert [line.outcome for line in reads_of(conn, owners[1])] == ["not_granted"]
        assert len(reads_of(conn, "H" + "9" * 31)) == 1


def test_forgetting_erases_the_numbers_and_ends_the_consents_but_not_the_log(
    engine: Engine, vault: Vault, owners: list[str]
) -> None:
    def look() -> LinkView | LinkRefused:
        return read_link(conn, vault, owners[0], HEALTH, reader="HOSP-1", purpose=Purpose.TREATMENT, at=LATER)

    with writing(engine) as conn:
        grant(conn, vault, consent(owners[0]), at=NOW)
        look()
        forget(conn, owners[0], at=LATER)
        assert reason(look()) is LinkRefusal.HOLDER_UNKNOWN
        assert conn.execute(select(link_number)).all() == []
        assert [one.revoked_at for one in grants_of(conn, owners[0])] == [LATER]
        assert [line.outcome for line in reads_of(conn, owners[0])] == ["holder_unknown", "full"]


@pytest.mark.parametrize("reader", ["", "HOSP 1", "H" * 33, "HOSP-1\n"])
def test_a_reader_without_a_name_is_refused_before_anything_is_read(
    engine: Engine, vault: Vault, owners: list[str], reader: str
) -> None:
    acts: list[Callable[[], object]] = [
        lambda: read_link(conn, vault, owners[0], HEALTH, reader=reader, purpose=Purpose.TREATMENT, at=NOW),
        lambda: grant(conn, vault, replace(consent(owners[0]), granted_to=reader), at=NOW),
    ]
    with writing(engine) as conn:
        for act in acts:
            with pytest.raises(ValueError, match="give a participant's id"):
                act()


def test_a_linked_number_shows_neither_in_the_database_nor_in_values(
    engine: Engine, vault: Vault, owners: list[str], tmp_path: Path
) -> None:
    with writing(engine) as conn:
        grant(conn, vault, consent(owners[0]), at=NOW)
        view = read_link(conn, vault, owners[0], HEALTH, reader="HOSP-1", purpose=Purpose.TREATMENT, at=NOW)
        rows = repr(conn.execute(select(link_number)).all())
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("onecard.db*"))
    assert isinstance(view, LinkView) and view.number == NUMBER
    assert not [
        place for place in (rows, repr(view), repr(consent(owners[0])), repr(stored)) if NUMBER in place
    ]
