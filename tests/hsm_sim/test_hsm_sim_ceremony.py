"""The key ceremony: what components are worth, and the whole of it at the program's own questions."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path

import pytest
from hsm_sim.audit import AuditLog, verify
from hsm_sim.ceremony import Ceremony, CeremonyError, check_value, new_component
from hsm_sim.epurse import exclusive_or
from hsm_sim.home import open_home, read_people
from hsm_sim.key_blocks import Header, Protection
from hsm_sim.keys import lmk_check_value
from hsm_sim.people import Role
from hypothesis import given
from hypothesis import strategies as st

from tests.hsm_sim.machine_room import forms, program, serving
from tests.hsm_sim.raw_peer import RawPeer

PHRASES = {"ann": "qx7-plume-1", "ben": "vv3-ochre-2", "cleo": "zk9-heron-3"}
COMPONENTS = {name: hashlib.sha256(name.encode()).digest() for name in PHRASES}

VALUES = st.binary(min_size=32, max_size=32).filter(any)


def gathered(*values: bytes) -> Ceremony:
    ceremony = Ceremony(32, len(values))
    for number, value in enumerate(values):
        ceremony = ceremony.accepting(f"custodian-{number}", value.hex(), check_value(value))
    return ceremony


@given(st.lists(VALUES, min_size=2, max_size=5, unique=True))
def test_the_key_is_the_exclusive_or_of_all_components(values: list[bytes]) -> None:
    key = reduce(exclusive_or, values)
    if any(key):
        assert gathered(*values).whole() == key


@given(VALUES, VALUES)
def test_whatever_one_component_is_the_key_may_still_be_any(component: bytes, key: bytes) -> None:
    other = exclusive_or(component, key)
    if any(other) and other != component:
        assert gathered(component, other).whole() == key


@pytest.mark.parametrize(
    ("custodian", "text", "check", "said"),
    [
        ("ben", "11" * 31, "000000", "a component is 64 hex digits; read it again"),
        ("ben", "zz" * 32, "000000", "a component is 64 hex digits; read it again"),
        ("ben", "00" * 32, "000000", "a component of zeros adds nothing"),
        ("ben", "11" * 32, "123456", "and not 123456; read both again from the sheet"),
        ("ben", "11" * 32, "", "and not nothing; read both again from the sheet"),
        ("ben", "22" * 32, check_value(b"\x22" * 32), "another custodian has given the same component"),
        ("ann", "11" * 32, check_value(b"\x11" * 32), "ann has given a component already"),
    ],
)
def test_what_is_not_accepted_is_said_without_repeating_it(
    custodian: str, text: str, check: str, said: str
) -> None:
    ceremony = Ceremony(32, 3).accepting("ann", "22" * 32, check_value(b"\x22" * 32))
    with pytest.raises(CeremonyError, match=re.escape(said)) as caught:
        ceremony.accepting(custodian, text, check)
    assert text not in str(caught.value)


def test_a_key_needs_two_custodians_all_of_them_and_something_left_of_it() -> None:
    with pytest.raises(CeremonyError, match="1 custodians are too few"):
        Ceremony(32, 1)
    with pytest.raises(CeremonyError, match="1 of 2 components are given"):
        Ceremony(32, 2).accepting("ann", "22" * 32, check_value(b"\x22" * 32)).whole()
    with pytest.raises(CeremonyError, match="cancel one another out"):
        gathered(b"\1" * 32, b"\2" * 32, b"\3" * 32).whole()
    assert bytes.fromhex(new_component(16, lambda count: bytes(range(count)))) == bytes(range(16))


def conversation(answer: Callable[[str, str], str], *words: str | Path) -> tuple[int, str]:
    """Run the program and answer each of its questions, given what it has said so far: its end, all it said."""
    command = [sys.executable, "-m", "hsm_sim", *map(str, words)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.endswith(":\n"):
                process.stdin.write(answer(line[:-2], said) + "\n")
                process.stdin.flush()
        process.stdin.close()
        return process.wait(30), said


def bringing(
    components: Mapping[str, bytes], phrases: Mapping[str, str] = PHRASES, checks: Mapping[str, str] = {}
) -> Callable[[str, str], str]:
    """Custodians who bring these components, in this order."""
    names = iter(components)
    current = ""

    def answer(question: str, _: str) -> str:
        nonlocal current
        if question.endswith(", name"):
            current = next(names)
            return current
        if question == "Its check value":
            return checks.get(current, check_value(components[current]))
        return components[current].hex() if question.startswith("Component") else phrases[current]

    return answer


def test_an_lmk_is_made_of_components_and_its_hsm_serves(tmp_path: Path) -> None:
    home = tmp_path / "hsm"
    ended, said = conversation(bringing(COMPONENTS), "ceremony", "lmk", "--home", home, "--custodians", "3")
    assert ended == 0, said
    lmk = reduce(exclusive_or, COMPONENTS.values())
    keys, kept = open_home(home, given_lmk=None)
    assert (kept, keys.demo) == (lmk, False)
    for place, value in enumerate(COMPONENTS.values(), 1):
        assert f"component {place} of 3 accepted, check value {check_value(value)}\n" in said
    assert f"LMK check value {lmk_check_value(lmk)}" in said
    assert read_people(home, lmk).names(Role.CUSTODIAN) == ["ann", "ben", "cleo"]
    with serving(home, "--production") as (_, port), RawPeer(port) as peer:
        assert peer.ask(b"NC")[1][:16].decode() == lmk_check_value(lmk)
    lines, broken = verify(AuditLog(home).texts())
    assert broken is None
    assert [(line.event, line.facts.get("custodian")) for line in lines[:4]] == [
        ("component accepted", "ann"), ("component accepted", "ben"), ("component accepted", "cleo"), ("LMK made", None)
    ]  # fmt: skip
    written = said.encode() + b"".join(
        path.read_bytes() for path in home.iterdir() if path.name != "lmk.key" and path.is_file()
    )
    for secret in (lmk, *COMPONENTS.values(), *map(str.encode, PHRASES.values())):
        assert not [form for form in (forms(secret) if len(secret) == 32 else {secret}) if form in written]


def test_the_lmk_of_a_lost_file_comes_back_from_the_papers(tmp_path: Path) -> None:
    words = ("ceremony", "lmk", "--home", tmp_path, "--custodians", "3")
    assert conversation(bringing(COMPONENTS), *words)[0] == 0
    before = open_home(tmp_path, given_lmk=None)
    there, said = conversation(bringing(COMPONENTS), *words)
    assert (there, f"there is an LMK in {tmp_path} already" in said) == (2, True)
    (tmp_path / "lmk.key").unlink()
    others = {**COMPONENTS, "ben": b"\7" * 32}
    wrong, said = conversation(bringing(others), *words)
    assert (wrong, "does not open under the LMK with check value" in said) == (2, True)
    stranger, said = conversation(bringing(COMPONENTS, {**PHRASES, "ben": "not that of ben"}), *words)
    assert (stranger, "that is not the passphrase of ben" in said) == (2, True)
    assert not (tmp_path / "lmk.key").exists()
    reordered = dict(reversed(COMPONENTS.items()))
    assert conversation(bringing(reordered), *words)[0] == 0
    assert open_home(tmp_path, given_lmk=None) == before
    events = [line.event for line in verify(AuditLog(tmp_path).texts())[0]]
    assert events.count("ceremony broken off") == 3
    assert events[-1] == "LMK restored"


def test_a_custodian_who_comes_twice_or_errs_three_times_ends_the_ceremony(tmp_path: Path) -> None:
    words = ("ceremony", "lmk", "--home", tmp_path, "--custodians", "2")
    names = iter(["ann", "ann"])

    def twice(question: str, _: str) -> str:
        if question.endswith(", name"):
            return next(names)
        if question == "Its check value":
            return check_value(COMPONENTS["ann"])
        return COMPONENTS["ann"].hex() if question.startswith("Component") else PHRASES["ann"]

    ended, said = conversation(twice, *words)
    assert (ended, "no LMK was made: ann has given a component already" in said) == (2, True)
    erring = bringing(COMPONENTS, checks={"ben": "000000"})
    ended, said = conversation(erring, *words)
    assert (ended, said.count("not accepted: ")) == (2, 2)
    assert f"has check value {check_value(COMPONENTS['ben'])} and not 000000; read both again" in said
    assert not (tmp_path / "keys.json").exists()
    assert not (tmp_path / "lmk.key").exists()


@pytest.mark.parametrize("on_paper", [True, False], ids=["on sheets", "on the screen"])
def test_new_components_are_handed_out_one_by_one_and_typed_back(tmp_path: Path, *, on_paper: bool) -> None:
    home, sheets = tmp_path / "hsm", tmp_path / "sheets"
    names = iter(PHRASES)
    papers: list[str] = []

    def answer(question: str, said: str) -> str:
        if question.endswith(", name"):
            return next(names)
        if question.endswith("or nothing for a new one") or question.startswith("Nobody else"):
            return ""
        if question.endswith("on the paper"):
            last = max(sheets.iterdir(), key=lambda path: path.name) if on_paper else None
            page = said if last is None else last.read_text()
            papers.append(re.findall(r"^component    (.*)$", page, re.MULTILINE)[-1])
            return papers[-1]
        if question == "Its check value":
            return check_value(bytes.fromhex(papers[-1]))
        return "a common phrase"

    to_sheets: tuple[str | Path, ...] = ("--sheet", sheets) if on_paper else ()
    ended, said = conversation(answer, "ceremony", "lmk", "--home", home, "--custodians", "2", *to_sheets)
    assert ended == 0, said
    first, second = (bytes.fromhex(paper) for paper in papers)
    assert open_home(home, given_lmk=None)[1] == exclusive_or(first, second)
    assert (papers[0] in said) is not on_paper
    if on_paper:
        made = {path.name: path.stat().st_mode & 0o777 for path in sheets.iterdir()}
        assert made == {"lmk-component-1-of-2.txt": 0o600, "lmk-component-2-of-2.txt": 0o600}
        assert sheets.stat().st_mode & 0o777 == 0o700
        pages = [path.read_text() for path in sorted(sheets.iterdir())]
        assert "custodian    ann" in pages[0]
        assert papers[1] not in pages[0]


def test_a_zone_master_key_of_two_custodians_serves_the_host(tmp_path: Path) -> None:
    home, out = tmp_path / "hsm", tmp_path / "zmk.block"
    lmk_words = ("ceremony", "lmk", "--home", home, "--custodians", "3")
    assert conversation(bringing(COMPONENTS), *lmk_words)[0] == 0
    pair = {"ann": os.urandom(32), "cleo": os.urandom(32)}
    stranger, said = conversation(
        bringing({"dora": os.urandom(32)}, {"dora": "phrase of dora"}), "ceremony", "zmk", "--home", home
    )
    assert (stranger, "no custodian 'dora' is known here; add them with `hsm-sim custodian`" in said) == (
        2,
        True,
    )
    ended, said = conversation(bringing(pair), "ceremony", "zmk", "--home", home, "--out", out)
    assert ended == 0, said
    zmk = exclusive_or(*pair.values())
    assert f"ZMK check value {check_value(zmk)}" in said
    block = out.read_text().strip()
    _, lmk = open_home(home, given_lmk=None)
    assert Protection.of(lmk).unwrap(block[1:]) == (Header("K1", "A", "B"), zmk)
    assert out.stat().st_mode & 0o777 == 0o600
    with serving(home) as (_, port), RawPeer(port) as peer:
        assert peer.ask(b"BU", block.encode()) == ("00", check_value(zmk).encode())
    assert (
        "--bits is 100; give 128, 192 or 256"
        in program("ceremony", "zmk", "--home", home, "--bits", "100").stderr
    )
