"""What becomes of operators' files: good ones, damaged ones, repeated ones, and files that are none."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from card.hsm.client import Hsm
from city.processes import RunningHsm
from clearing.archive import archived, fetch
from clearing.context import StepRefused
from clearing.intake import missing_batches
from clearing.steps import collect, verify
from clearing.tables import batch_file, rejected_file, tap
from clearing.wire.batch import write_batch
from clearing.wire.names import batch_name
from ledger.db import reading
from tests.support.clearing_day import DAY, MADE_AT, TAP, SmallCity, signed

OPERATOR = "BUS-1"
NAME = batch_name(OPERATOR, 1)


@pytest.fixture
def city(engine: Engine, hsm_process: RunningHsm, tmp_path: Path) -> Iterator[SmallCity]:
    with Hsm(hsm_process.host, hsm_process.port) as hsm:
        small = SmallCity(engine, hsm, tmp_path / "city")
        small.furnish()
        yield small


def answer(city: SmallCity, name: str = NAME) -> dict[str, object]:
    said: dict[str, object] = json.loads((city.inbox / "acks" / f"{name}.ack").read_text())
    return said


def wrong_mac(city: SmallCity) -> bytes:
    return write_batch(
        operator=OPERATOR, sequence=1, business_date=DAY, made_at=MADE_AT, mac_key_version=1,
        records=[signed(TAP).pack()], mac=lambda digest: city.hsm.batch_mac("METRO-1", digest, 1),
    )  # fmt: skip


def unknown_key(city: SmallCity) -> bytes:
    return write_batch(
        operator=OPERATOR, sequence=1, business_date=DAY, made_at=MADE_AT, mac_key_version=9,
        records=[signed(TAP).pack()], mac=lambda _digest: bytes(16),
    )  # fmt: skip


def good(city: SmallCity) -> bytes:
    return city.batch(OPERATOR, 1, [signed(TAP)])


WRONG: tuple[tuple[str, str, Callable[[SmallCity], bytes]], ...] = (
    (NAME, "empty", lambda _city: b""),
    (NAME, "not_a_batch", lambda _city: b"\x89PNG\r\n" * 40),
    (NAME, "truncated", lambda city: good(city)[:-7]),
    (NAME, "trailing", lambda city: good(city) + b"\n"),
    (NAME, "checksum", lambda city: good(city)[:100] + b"\x7f" + good(city)[101:]),
    (NAME, "operator_unknown", lambda city: city.batch("NOBODY", 1, [signed(TAP)])),
    (NAME, "mac_wrong", wrong_mac),
    (NAME, "mac_wrong", unknown_key),
    (batch_name(OPERATOR, 2), "name_differs", good),
    ("notes.txt", "not_a_batch", lambda _city: b"call me"),
)


@pytest.mark.parametrize(("name", "flaw", "content"), WRONG)
def test_a_wrong_file_is_turned_away_with_its_reason_and_the_night_goes_on(
    city: SmallCity, name: str, flaw: str, content: Callable[[SmallCity], bytes]
) -> None:
    body = content(city)
    (city.inbox / name).write_bytes(body)
    city.present("METRO-1", 1, [])
    results = city.clear()
    counts = results["collect"].counts
    assert (counts["files"], counts["accepted"], counts["rejected"]) == (2, 1, 1)
    with reading(city.engine) as conn:
        row = conn.execute(select(rejected_file)).one()
        assert (row.name, row.flaw, row.collected_on) == (name, flaw, DAY)
        assert row.remedy and row.message
    said = answer(city, name)
    assert (said["status"], said["reason"], said["message"]) == ("rejected", flaw, row.message)
    assert fetch(city.night().archive, sha256(body).hexdigest()) == body
    assert list(city.inbox.glob("*.*")) == [], "dealt with, so it leaves the inbox"


def test_the_same_file_again_is_acknowledged_and_changes_nothing(city: SmallCity) -> None:
    path = city.present(OPERATOR, 1, [signed(TAP)])
    body = path.read_bytes()
    city.clear()
    assert answer(city)["status"] == "accepted"
    assert not path.exists()
    path.write_bytes(body)
    results = city.clear(DAY + timedelta(days=1))
    assert answer(city)["status"] == "repeated"
    assert (results["collect"].counts["repeated"], results["collect"].counts["taps"]) == (1, 0)
    assert city.verdicts() == {(OPERATOR, 1, 0): "accepted"}
    assert not path.exists()


def test_other_content_under_a_number_taken_is_refused_and_names_both(city: SmallCity) -> None:
    first = city.present(OPERATOR, 1, [signed(TAP)]).read_bytes()
    city.clear()
    second = city.present(OPERATOR, 1, [signed(replace(TAP, counter=2))]).read_bytes()
    city.clear(DAY + timedelta(days=1))
    said = answer(city)
    assert said["reason"] == "number_taken"
    assert all(sha256(body).hexdigest() in str(said["message"]) for body in (first, second))
    assert city.verdicts() == {(OPERATOR, 1, 0): "accepted"}
    assert archived(city.night().archive, sha256(second).hexdigest()).exists()


def test_numbers_left_out_are_asked_for(city: SmallCity) -> None:
    city.present(OPERATOR, 2, [])
    city.present(OPERATOR, 5, [])
    city.present("METRO-1", 1, [])
    results = city.clear()
    assert results["collect"].counts["missing"] == 3
    assert city.look(missing_batches) == [(OPERATOR, 1), (OPERATOR, 3), (OPERATOR, 4)]


def test_files_still_being_written_are_left_alone(city: SmallCity) -> None:
    for name in (f".{NAME}.part", f"{NAME}.part", f"{NAME}.tmp"):
        (city.inbox / name).write_bytes(good(city)[:70])
    assert city.clear()["collect"].counts["files"] == 0
    assert len([path for path in city.inbox.iterdir() if path.is_file()]) == 3


def test_a_collect_killed_before_its_commit_makes_the_same_files_again(city: SmallCity) -> None:
    city.present(OPERATOR, 1, [signed(TAP), b"\x01" * 64])
    (city.inbox / "junk.ocb").write_bytes(b"junk")
    first = collect(city.engine, city.night())
    kept = [path.read_bytes() for path in first.files]
    shutil.rmtree(city.night().work)
    again = collect(city.engine, city.night())
    assert [path.read_bytes() for path in again.files] == kept
    assert again.counts == first.counts
    assert len(list(city.inbox.glob("*.ocb"))) == 2, "nothing leaves the inbox before it is registered"


def test_a_file_that_was_changed_after_it_was_taken_stays_in_the_inbox(city: SmallCity) -> None:
    for sequence in (1, 2):
        city.present(OPERATOR, sequence, [signed(replace(TAP, counter=sequence))])
    shutil.copyfile(city.inbox / NAME, city.inbox / "copy.ocb")
    city.step("collect")
    changed = city.inbox / batch_name(OPERATOR, 2)
    other = changed.read_bytes()[:-1] + b"\x01"
    changed.write_bytes(other)
    city.step("verify")
    assert {path.name: path.read_bytes() for path in city.inbox.glob("*.ocb")} == {changed.name: other}


def test_every_step_can_be_run_again_and_leaves_the_same(city: SmallCity) -> None:
    city.present(OPERATOR, 1, [signed(TAP), signed(replace(TAP, counter=3)), b"\x01" * 64])
    results = city.clear()
    files = [path.read_bytes() for result in results.values() for path in result.files]
    verdicts = city.verdicts()
    for name in ("verify", "match", "price", "post"):
        city.step(name)
    assert [path.read_bytes() for result in results.values() for path in result.files] == files
    assert city.verdicts() == verdicts
    with reading(city.engine) as conn:
        assert conn.scalar(select(func.count()).select_from(tap)) == 3
        assert conn.scalar(select(func.count()).where(batch_file.c.cleared_on == DAY)) == 1


def test_a_night_without_files_does_nothing_and_says_so(city: SmallCity) -> None:
    results = city.clear()
    assert results["post"].counts["taps"] == 0
    assert city.verdicts() == {}


def test_the_night_waits_for_an_hsm_that_cannot_be_reached(city: SmallCity) -> None:
    city.present(OPERATOR, 1, [signed(TAP)])
    with Hsm("127.0.0.1", 1, timeout_s=0.5) as nobody:
        lonely = replace(city.night(), hsm=nobody)
        with pytest.raises(StepRefused, match=r"collect: .* restore the HSM"):
            collect(city.engine, lonely)
        city.step("collect")
        with pytest.raises(StepRefused, match=r"verify: .* restore the HSM"):
            verify(city.engine, lonely)
    assert city.clear()["post"].counts["paid_taps"] == 1
