"""Batch files over HTTP: an operator learns at once what its bytes can tell, and in the morning what the night says."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from card.hsm.client import Hsm
from clearing.archive import archived
from clearing.intake import collect
from clearing.landing import Landing
from clearing.wire.names import batch_name, qr_batch_name
from clearing.wire.qr_batch import write_qr_batch
from tests.api.http_doors import Doors
from tests.support.clearing_day import DAY, MADE_AT, TAP, SmallCity, signed

NAME = batch_name("BUS-1", 1)
SCOPE = "batches:write"


@pytest.fixture
def city(doors: Doors, city_hsm: Hsm, tmp_path: Path) -> Iterator[SmallCity]:
    """A city whose inbox the API's door leads to."""
    small = SmallCity(doors.engine, city_hsm, tmp_path / "city")
    doors.rewired(landing=Landing(small.inbox, small.home / "archive"))
    small.furnish(purse_fen=0)
    yield small


def good(city: SmallCity, counter: int = 1) -> bytes:
    return city.batch("BUS-1", 1, [signed(replace(TAP, counter=counter))])


def send(
    doors: Doors, content: bytes, name: str = NAME, operator: str = "BUS-1"
) -> tuple[int, dict[str, Any]]:
    headers = doors.institution(operator, SCOPE) | {"Content-Type": "application/octet-stream"}
    answer = doors.client.put(f"/v1/batches/{name}", content=content, headers=headers)
    return answer.status_code, answer.json()


def look(doors: Doors, name: str = NAME, operator: str = "BUS-1") -> tuple[int, dict[str, Any]]:
    answer = doors.client.get(f"/v1/batches/{name}", headers=doors.institution(operator, SCOPE))
    return answer.status_code, answer.json()


def night(city: SmallCity) -> None:
    result = collect(city.engine, city.night())
    with result.transaction(city.engine) as conn:
        result.written(conn)


def test_a_batch_waits_for_the_night_and_is_then_what_its_acknowledgement_says(
    doors: Doors, city: SmallCity
) -> None:
    content = good(city)
    waiting = {"name": NAME, "sha256": sha256(content).hexdigest(), "status": "waiting"}
    assert look(doors)[0] == 404
    assert send(doors, content) == (202, waiting)
    assert send(doors, content) == (202, waiting), "the same again"
    assert look(doors) == (200, waiting)
    assert (city.inbox / NAME).read_bytes() == content
    night(city)
    accepted = waiting | {"status": "accepted"}
    assert look(doors) == (200, accepted)
    assert look(doors)[1] == json.loads((city.inbox / "acks" / f"{NAME}.ack").read_text())
    (city.inbox / NAME).unlink()
    assert send(doors, content) == (202, accepted), "and again after the night"
    assert not (city.inbox / NAME).exists()
    assert archived(city.home / "archive", waiting["sha256"]).read_bytes() == content


def test_what_only_the_night_finds_wrong_is_read_where_it_was_sent(doors: Doors, city: SmallCity) -> None:
    forged = bytearray(good(city))
    forged[-20] ^= 1  # in the MAC, which no checksum covers
    assert send(doors, bytes(forged))[0] == 202
    night(city)
    status, said = look(doors)
    assert (status, said["status"], said["reason"], said["offset"]) == (
        200,
        "rejected",
        "mac_wrong",
        len(forged) - 28,
    )
    assert said == json.loads((city.inbox / "acks" / f"{NAME}.ack").read_text())


def test_a_flawed_file_is_refused_at_once_with_reason_place_and_remedy(doors: Doors, city: SmallCity) -> None:
    whole = good(city)
    for content, reason, offset in (
        (whole[:-7], "truncated", len(whole) - 7),
        (whole[:100] + b"\x7f" + whole[101:], "checksum", len(whole) - 60),
        (b"", "empty", 0),
        (city.batch("BUS-1", 2, []), "name_differs", None),
    ):
        status, said = send(doors, content)
        assert (status, said["code"], said["reason"], said["offset"]) == (422, "batch_flawed", reason, offset)
        assert said["remedy"] in said["detail"]
        assert archived(city.home / "archive", said["sha256"]).read_bytes() == content
        status, found = look(doors)
        assert (status, found["status"], found["reason"]) == (200, "rejected", reason)
        assert found == json.loads((city.inbox / "acks" / f"{NAME}.ack").read_text())
    assert not (city.inbox / NAME).exists()
    assert send(doors, whole)[0] == 202
    assert send(doors, whole[:-7])[0] == 422
    assert look(doors)[1]["status"] == "waiting", "a good file is not forgotten for a flawed one"


def test_other_content_under_a_number_is_refused_before_and_after_the_night(
    doors: Doors, city: SmallCity
) -> None:
    first, second = good(city), good(city, counter=2)
    send(doors, first)
    for _ in ("waiting", "registered"):
        status, said = send(doors, second)
        assert (status, said["code"]) == (409, "batch_number_taken")
        assert all(sha256(content).hexdigest() in said["detail"] for content in (first, second))
        assert (city.inbox / NAME).read_bytes() == first
        night(city)
    assert look(doors)[1]["sha256"] == sha256(first).hexdigest()


def test_one_of_many_senders_at_once_gets_the_number_and_the_others_hear_so(
    doors: Doors, city: SmallCity
) -> None:
    contents = [good(city, counter) for counter in (1, 2, 1, 2, 1, 2)]
    doors.institution("BUS-1", SCOPE)
    with ThreadPoolExecutor(len(contents)) as pool:
        answers = list(pool.map(lambda content: send(doors, content), contents))
    (digest,) = {said["sha256"] for status, said in answers if status == 202}
    for content, (status, said) in zip(contents, answers, strict=True):
        assert status == (202 if sha256(content).hexdigest() == digest else 409), said
    assert sha256((city.inbox / NAME).read_bytes()).hexdigest() == digest


def test_an_operator_reaches_only_its_own_files(doors: Doors, city: SmallCity) -> None:
    status, said = send(doors, good(city), operator="METRO-1")
    assert (status, said["code"]) == (403, "other_operator")
    assert not (city.inbox / NAME).exists()
    send(doors, good(city))
    status, said = look(doors, operator="METRO-1")
    assert (status, said["code"]) == (403, "other_operator")


@pytest.mark.parametrize(
    "name", ["notes.txt", "BUS-1-1.ocb", "BUS-1-00000001.ocb.part", "bus-1-00000001.ocb"]
)
def test_a_name_that_is_no_batchs_is_refused_with_one_that_is(
    doors: Doors, city: SmallCity, name: str
) -> None:
    status, said = send(doors, good(city), name)
    assert (status, said["code"]) == (422, "batch_name_malformed")
    assert "BUS-1-00000042.ocb" in said["detail"]
    assert look(doors, name)[1]["code"] == "batch_name_malformed"


def test_rides_on_codes_come_through_the_same_door(doors: Doors, city: SmallCity) -> None:
    name = qr_batch_name("BUS-1", 1)
    content = write_qr_batch(
        operator="BUS-1", sequence=1, business_date=DAY, made_at=MADE_AT, mac_key_version=1, records=[],
        mac=lambda digest: city.hsm.batch_mac("BUS-1", digest, 1),
    )  # fmt: skip
    assert send(doors, content, name)[0] == 202
    assert (city.inbox / "qr" / name).read_bytes() == content
    assert look(doors, name)[1]["status"] == "waiting"


def test_a_file_beyond_the_bound_is_refused_and_leaves_nothing(doors: Doors, city: SmallCity) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(65):
            yield bytes(1 << 20)

    headers = doors.institution("BUS-1", SCOPE) | {"Content-Type": "application/octet-stream"}
    answer = doors.client.put(f"/v1/batches/{NAME}", content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert list(city.inbox.iterdir()) == []


def test_a_service_without_an_inbox_takes_no_files(doors: Doors) -> None:
    status, said = send(doors, b"OCB1")
    assert (status, said["code"]) == (404, "not_found")
