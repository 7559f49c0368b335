"""Operators, what they authorise and for how long, and the tamper that ends it all: by the program itself."""

import json
import signal
import socket
from pathlib import Path

import pytest
from hsm_sim.audit import AuditLog, Line, verify
from hsm_sim.authority import needs_authority, parse_duration
from hsm_sim.home import HomeError, open_home, read_people
from hsm_sim.people import People, PeopleError, Role, format_people, parse_people
from hsm_sim.wire import Request
from hypothesis import given
from hypothesis import strategies as st

from tests.hsm_sim.machine_room import authorise, forms, program, serving
from tests.hsm_sim.raw_peer import RawPeer

PHRASES = {"alice": "first passphrase", "bob": "second passphrase"}
PERSONALISE = b"\1\0" + bytes(16) + b"\1"


def random(count: int) -> bytes:
    return bytes(count)


def with_operators(home: Path, *words: str) -> None:
    assert program("init", "--home", home, *words).returncode == 0
    for name, phrase in PHRASES.items():
        added = program("operator", "--home", home, "--name", name, typed=[phrase] * 2)
        assert (added.returncode, added.stdout) == (0, f"operator {name} is known\n")


def lines_of(home: Path) -> list[Line]:
    lines, broken = verify(AuditLog(home).texts())
    assert broken is None
    return lines


def events(home: Path) -> list[str]:
    return [line.event for line in lines_of(home)]


def refusals(home: Path) -> list[tuple[str, str]]:
    return [
        (line.facts["command"], line.facts["error"]) for line in lines_of(home) if line.event == "refused"
    ]


def test_import_export_and_personalisation_wait_for_two_operators(tmp_path: Path) -> None:
    with_operators(tmp_path)
    with serving(tmp_path) as (_, port), RawPeer(port) as peer:
        zone = peer.ask(b"A0", b"0K1ABE256")[1][:-6]
        key = peer.ask(b"A0", b"0M6ACE256")[1][:-6]
        guarded = [
            (b"F2", PERSONALISE), (b"I6", b"\0\0T0000001"), (b"A8", zone + key), (b"A0", b"1M6ACE256" + zone),
        ]  # fmt: skip
        assert [peer.ask(*one) for one in guarded] == [("17", b"")] * 4
        assert peer.ask(b"A6", b"")[0] == "17"
        done = authorise(tmp_path, "--for", "5m", **PHRASES)
        assert (done.returncode, done.stdout) == (0, "authorised by alice and bob for 300 seconds\n")
        assert [peer.ask(*one)[0] for one in guarded] == ["00"] * 4
        exported = peer.ask(b"A8", zone + key)[1]
        assert peer.ask(b"A6", zone + exported[:-6])[0] == "00"
        ended = program("authorise", "--home", tmp_path, "--end")
        assert ended.stdout == "nothing is authorised any more\n"
        assert [peer.ask(*one) for one in guarded] == [("17", b"")] * 4
    assert {(name, "17") for name in ("F2", "I6", "A8", "A0", "A6")} <= set(refusals(tmp_path))
    [given] = [line for line in lines_of(tmp_path) if line.event == "authorised"]
    assert given.facts == {"operators": "alice, bob", "for_s": 300}
    # The uses so far are written down from time to time, and at the latest when it stops.
    assert "keys used" in events(tmp_path) and events(tmp_path)[-1] == "stopped"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            ["alice", PHRASES["alice"], "alice", PHRASES["alice"]],
            "alice cannot stand for two; another operator",
        ),
        (["alice", PHRASES["alice"], "bob", "a wrong one"], "that is not the passphrase of bob; try again"),
        (
            ["alice", PHRASES["alice"], "carol", "whatever"],
            "no operator 'carol' is known here; add them with",
        ),
        (["alice", PHRASES["alice"]], "the input ended where it was asked for: Operator 2 of 2, name"),
    ],
)
def test_one_operator_is_not_two_and_a_wrong_passphrase_is_none(
    tmp_path: Path, typed: list[str], said: str
) -> None:
    with_operators(tmp_path)
    with serving(tmp_path) as (_, port), RawPeer(port) as peer:
        refused = program("authorise", "--home", tmp_path, typed=typed)
        assert refused.returncode == 2
        assert said in refused.stderr
        assert peer.ask(b"F2", PERSONALISE) == ("17", b"")
    assert ("authorisation refused" in events(tmp_path)) is (len(typed) == 4)


def test_the_word_of_operators_expires_and_does_not_outlive_a_restart(tmp_path: Path) -> None:
    with_operators(tmp_path)
    with serving(tmp_path) as (_, port), RawPeer(port) as peer:
        assert authorise(tmp_path, "--for", "1s", **PHRASES).returncode == 0
        while peer.ask(b"F2", PERSONALISE)[0] == "00":
            assert peer.ask(b"B2", b"0000") == ("00", b"")
        assert peer.ask(b"F2", PERSONALISE)[0] == "17"
        assert authorise(tmp_path, "--for", "24h", **PHRASES).returncode == 0
        assert peer.ask(b"F2", PERSONALISE)[0] == "00"
    with serving(tmp_path) as (_, port), RawPeer(port) as peer:
        assert peer.ask(b"F2", PERSONALISE)[0] == "17"


def test_without_a_running_hsm_there_is_nothing_to_authorise(tmp_path: Path) -> None:
    with_operators(tmp_path)
    with serving(tmp_path) as (process, _):
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    refused = authorise(tmp_path, **PHRASES)
    assert refused.returncode == 2
    assert f"no HSM runs on {tmp_path}; start it with" in refused.stderr
    assert list(tmp_path.glob("console.*")) == []


def test_two_machines_on_the_same_keys_are_authorised_together(tmp_path: Path) -> None:
    with_operators(tmp_path)
    with (
        serving(tmp_path) as (_, one),
        RawPeer(one) as first,
        serving(tmp_path) as (_, other),
        RawPeer(other) as second,
    ):
        named = ("--operator", "alice", "--operator", "bob")
        done = program("authorise", "--home", tmp_path, *named, typed=list(PHRASES.values()))
        assert done.stdout.count("authorised by alice and bob for 1800 seconds") == 2
        assert first.ask(b"F2", PERSONALISE) == second.ask(b"F2", PERSONALISE)
        assert first.ask(b"F2", PERSONALISE)[0] == "00"


def test_a_door_that_is_spoken_to_in_no_words_of_ours_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_operators(tmp_path)
    # The name of a socket is at most 107 characters long.
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path) as (process, _):
        for words in (b"\n", b"[]\n", b'{"act": "open"}\n', b'{"act": "authorise", "for_s": 5}\n', b"\xff\n"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
                door.settimeout(10)
                door.connect(f"console.{process.pid}")
                door.sendall(words)
                assert b"the console did not understand" in door.recv(1000)
        assert (tmp_path / f"console.{process.pid}").stat().st_mode & 0o777 == 0o600
        assert authorise(tmp_path, **PHRASES).returncode == 0
    assert list(tmp_path.glob("console.*")) == []


def test_each_kind_of_refusal_has_its_code_on_the_wire_and_its_line_in_the_log(tmp_path: Path) -> None:
    assert program("init", "--home", tmp_path, "--demo").returncode == 0
    assert program("rotate", "--home", tmp_path, "--usage", "SK").returncode == 0
    with serving(tmp_path, "--authorised-for", "1h") as (_, port), RawPeer(port) as peer:
        zone, stays = (peer.ask(b"A0", words)[1][:-6] for words in (b"0K1ABN256", b"0M6ACN256"))
        changed = stays[:-1] + (b"0" if stays[-1:] != b"0" else b"1")
        tac_root = next(row["block"] for row in json.loads((tmp_path / "keys.json").read_text())["keys"])
        asked = [
            (b"G4", b"\1" + bytes(32), "A9"),
            (b"M6", changed + b"00001x", "A4"),
            (b"M6", zone + b"00001x", "A6"),
            (b"M6", b"S" + tac_root.encode() + b"00001x", "28"),
            (b"A8", zone + stays, "AA"),
            (b"A0", b"0M6AXN128", "A8"),
            (b"CA", b"X", "26"),
        ]
        for command, fields, expected in asked:
            assert peer.ask(command, fields) == (expected, b"")
    assert refusals(tmp_path) == [(command.decode(), expected) for command, _, expected in asked]


def test_a_third_operator_is_vouched_for_by_two(tmp_path: Path) -> None:
    with_operators(tmp_path)
    words = ("operator", "--home", tmp_path, "--name", "carol")
    alone = program(*words, typed=["carol's own one"] * 2)
    assert alone.returncode == 2
    vouched = [line for pair in PHRASES.items() for line in pair]
    assert program(*words, typed=[*vouched, "carol's own one", "something else"]).returncode == 2
    assert program(*words, typed=[*vouched, *["carol's own one"] * 2]).returncode == 0
    _, lmk = open_home(tmp_path, given_lmk=None)
    assert read_people(tmp_path, lmk).names(Role.OPERATOR) == ["alice", "bob", "carol"]
    assert [line.facts for line in lines_of(tmp_path) if line.event == "operator added"] == [
        {"name": "alice", "vouched_by": "nobody yet"},
        {"name": "bob", "vouched_by": "nobody yet"},
        {"name": "carol", "vouched_by": "alice, bob"},
    ]


def test_demo_keys_may_be_authorised_by_nobody_and_loudly(tmp_path: Path) -> None:
    demo, own = tmp_path / "demo", tmp_path / "own"
    assert program("init", "--home", demo, "--demo").returncode == 0
    assert program("init", "--home", own).returncode == 0
    with serving(demo, "--authorised-for", "8h") as (_, port), RawPeer(port) as peer:
        assert peer.ask(b"F2", PERSONALISE)[0] == "00"
    assert "AUTHORISED FOR 8h BY NOBODY" in (demo / "log").read_text()
    assert [line.facts["authorised_s"] for line in lines_of(demo) if line.event == "started"] == [28_800]
    for home, text, said in (
        (own, "8h", "--authorised-for is for demo keys, and these are others"),
        (demo, "25h", "--authorised-for '25h' is no time; give a number and s, m or h"),
    ):
        refused = program("serve", "--home", home, "--port", "0", "--authorised-for", text)
        assert refused.returncode == 2
        assert said in refused.stderr


@given(st.sampled_from("smh"), st.integers(-5, 100_000))
def test_a_duration_is_a_number_and_a_unit_and_at_most_a_day(unit: str, number: int) -> None:
    seconds = number * {"s": 1, "m": 60, "h": 3600}[unit]
    if 0 < seconds <= 86_400 and number < 100_000:
        assert parse_duration(f"{number}{unit}") == seconds
    else:
        with pytest.raises(ValueError, match="is no time; give a number"):
            parse_duration(f"{number}{unit}")


@pytest.mark.parametrize(
    ("command", "fields", "needed"),
    [
        (b"A0", b"0", False),
        (b"A0", b"1", True),
        (b"A0", b"", False),
        (b"M6", b"1", False),
        (b"H0", b"\0", False),
    ],
)
def test_only_what_moves_keys_needs_authority(command: bytes, fields: bytes, *, needed: bool) -> None:
    assert needs_authority(Request(b"HEAD", command, fields)) is needed


def test_people_are_sealed_under_the_lmk_and_their_passphrases_are_not_there() -> None:
    people = People().admitting("alice", Role.OPERATOR, "first passphrase", random)
    people = people.admitting("dora", Role.CUSTODIAN, "third passphrase", random)
    text = format_people(people, bytes(32))
    assert parse_people(text, bytes(32)) == people
    assert "passphrase" not in text
    for changed, lmk in (
        (text, bytes(31) + b"\1"),
        (text.replace("custodian", "operator"), bytes(32)),
        ("{}", b""),
    ):
        with pytest.raises(PeopleError, match="restore it from a backup"):
            parse_people(changed, lmk)
    with pytest.raises(PeopleError, match="no operator 'dora' is known"):
        people.check("dora", Role.OPERATOR, "third passphrase")


@pytest.mark.parametrize(
    ("name", "phrase", "said"),
    [
        ("alice", "long enough", "alice is known already, as operator; choose another name"),
        ("Bob", "long enough", "the name 'Bob' will not do"),
        ("bob", "short", "the passphrase of bob is too short; give 8 characters or more"),
    ],
)
def test_a_name_or_passphrase_that_will_not_do_is_refused(name: str, phrase: str, said: str) -> None:
    people = People().admitting("alice", Role.OPERATOR, "first passphrase", random)
    with pytest.raises(PeopleError, match=said):
        people.admitting(name, Role.CUSTODIAN, phrase, random)


def test_a_tampered_hsm_holds_no_key_and_says_so_and_nothing_else(tmp_path: Path) -> None:
    with_operators(tmp_path, "--transport-key-file", str(tmp_path / "transport.key"))
    keys, lmk = open_home(tmp_path, given_lmk=None)
    with serving(tmp_path) as (_, port), RawPeer(port) as peer:
        before = peer.ask(b"NC")[1]
        key = peer.ask(b"A0", b"0M6ACE256")[1][:-6]
        assert authorise(tmp_path, **PHRASES).returncode == 0
        hesitating = program("tamper", "--home", tmp_path, typed=["no"])
        assert (hesitating.returncode, peer.ask(b"NC")[1]) == (2, before)
        done = program("tamper", "--home", tmp_path, typed=["ZEROISE"])
        assert (done.returncode, "running HSMs that were told: 1" in done.stdout) == (0, True)
        assert peer.ask(b"NC") == ("00", b"0" * 16 + b"SIMULATOR hsm-sim 0.1.0 TAMPERED")
        asked = [(b"B2", b"0000"), (b"F2", PERSONALISE), (b"G4", bytes(33)), (b"BU", key), (b"??", b"")]
        assert [peer.ask(*one) for one in asked] == [("13", b"")] * 5
        again = authorise(tmp_path, **PHRASES)
        assert "was tampered with and has no keys; there is nothing to authorise" in again.stderr
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert not [form for secret in (lmk, *keys.slots.values()) for form in forms(secret) if form in left]
    assert not {"keys.json", "lmk.key", "transport.key"} & {path.name for path in tmp_path.iterdir()}
    [line] = [line for line in lines_of(tmp_path) if line.event == "tampered"]
    assert line.facts == {"zeroised": "keys.json, lmk.key, transport.key"}
    assert ("B2", "13") in refusals(tmp_path)
    with serving(tmp_path, "--authorised-for", "8h") as (_, port), RawPeer(port) as peer:
        assert peer.ask(b"NC")[1].endswith(b"TAMPERED")
        assert peer.ask(b"N0", b"001") == ("13", b"")
    for words in (("status",), ("init",), ("rotate", "--usage", "PK")):
        refused = program(*words, "--home", tmp_path)
        assert refused.returncode == 2
        assert "were zeroised after a tamper; make an HSM in another folder" in refused.stderr


def test_a_hsm_that_does_not_run_is_zeroised_in_its_folder(tmp_path: Path) -> None:
    assert program("init", "--home", tmp_path).returncode == 0
    assert program("tamper", "--home", tmp_path, "--yes").returncode == 0
    with pytest.raises(HomeError, match="were zeroised after a tamper"):
        open_home(tmp_path, given_lmk=bytes(32))
    assert events(tmp_path) == ["keys made", "tampered"]
    assert program("tamper", "--home", tmp_path, "--yes").returncode == 0
    assert events(tmp_path) == ["keys made", "tampered"]


def test_the_log_is_a_table_whose_chain_the_program_checks(tmp_path: Path) -> None:
    assert program("init", "--home", tmp_path, "--demo").returncode == 0
    with serving(tmp_path) as (_, port), RawPeer(port) as peer:
        for _ in range(3):
            peer.ask(b"G4", b"\0" + bytes(32))
        peer.ask(b"G2", b"\1METRO-1 " + bytes(48))
        peer.ask(b"G4", b"\7" + bytes(32))
    table = program("audit", "--home", tmp_path).stdout
    assert "refused                   client: 127.0.0.1  command: G4  error: 12  times: 1" in table
    assert "keys used                 uses: BK 1 ×1, SK 1 ×3  failed: BK 1 ×1" in table
    used = program("audit", "--home", tmp_path, "--uses").stdout.splitlines()
    assert [line.split() for line in used] == [
        ["key", "uses", "failed"],
        ["BK", "1", "1", "1"],
        ["SK", "1", "3", "0"],
    ]
    checked = program("audit", "--home", tmp_path, "--verify")
    head = lines_of(tmp_path)[-1].digest
    assert (checked.returncode, checked.stdout) == (0, f"5 lines hold; head {head}\n")
    log = tmp_path / "audit.jsonl"
    whole = log.read_text()
    log.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    assert program("audit", "--home", tmp_path, "--verify").returncode == 0
    cut = program("audit", "--home", tmp_path, "--verify", "--head", head)
    assert (cut.returncode, "lines were cut off after it was noted" in cut.stdout) == (1, True)
    log.write_text(whole.replace('"error": "12"', '"error": "15"'))
    broken = program("audit", "--home", tmp_path, "--verify")
    assert (broken.returncode, broken.stdout) == (
        1, "line 3 is broken: its digest is not that of what it says: it was changed\n"
    )  # fmt: skip
    assert "BROKEN" in program("audit", "--home", tmp_path).stdout
