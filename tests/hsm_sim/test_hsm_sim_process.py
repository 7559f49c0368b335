"""The program itself, from outside: started, asked over its socket, stopped."""

import os
import re
import signal
import time
from pathlib import Path
from threading import Thread

import psutil
import pytest
from hsm_sim.home import open_home
from hsm_sim.keys import Usage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from city.processes import RunningHsm
from tests.hsm_sim.machine_room import authorise, forms, program, serving
from tests.hsm_sim.raw_peer import RawPeer, frame
from tests.hsm_sim.worked_example import bulk_columns

EXAMPLE_REQUEST = bytes.fromhex(
    "0034 00000001 4530 01 00 01011000FFFFFFFF 4870000000001234 11223344 0036 000000C8 06"
    "518000000001 20260131 164329 00000057"
)
EXAMPLE_ANSWER = bytes.fromhex("000C 00000001 4531 3030 ECE05309")
RIGHT_TAC = bytes.fromhex("CFF2892D")


def bulk_fields(tacs: list[bytes]) -> bytes:
    return len(tacs).to_bytes(4) + bulk_columns(len(tacs)) + b"".join(tacs)


def test_the_formats_example_is_answered_byte_for_byte(hsm_process: RunningHsm) -> None:
    with RawPeer(hsm_process.port) as peer:
        peer.send(EXAMPLE_REQUEST)
        assert peer.receive(len(EXAMPLE_ANSWER)) == EXAMPLE_ANSWER


def test_the_diagnostics_are_those_of_a_simulator_with_demo_keys(hsm_process: RunningHsm) -> None:
    with RawPeer(hsm_process.port) as peer:
        error, fields = peer.ask(b"NC")
    assert error == "00"
    check, text = fields[:16].decode(), fields[16:].decode()
    assert len(bytes.fromhex(check)) == 8
    assert text == "SIMULATOR hsm-sim 0.1.0 DEMO KEYS"


def test_pipelined_requests_are_answered_in_order_bulk_and_all(hsm_process: RunningHsm) -> None:
    asked = []
    for number in range(300):
        header = number.to_bytes(4)
        if number % 100 == 50:
            asked.append(frame(b"F0", bulk_fields([RIGHT_TAC] * 5), header))
        else:
            asked.append(frame(*((b"N0", b"016") if number % 2 else (b"??", b"")), header))
    with RawPeer(hsm_process.port) as peer:
        peer.send(b"".join(asked))
        answers = [peer.receive_frame() for _ in asked]
    for number, answer in enumerate(answers):
        assert answer is not None
        assert answer[:4] == number.to_bytes(4)
        if number % 100 == 50:
            assert answer[4:] == b"F100" + (5).to_bytes(4) + b"\xf8"


def test_long_frames_carry_what_short_ones_cannot_and_what_they_can(hsm_process: RunningHsm) -> None:
    data = os.urandom(0xFFFF)
    with RawPeer(hsm_process.port) as peer:
        assert peer.ask(b"B2", b"FFFF" + data) == ("00", data)
        peer.send(frame(b"B2", b"0002ok", long=True))
        assert peer.receive_frame() == b"\0\0\0\1B300ok"


def test_tacs_in_bulk_get_the_bits_that_they_deserve(hsm_process: RunningHsm) -> None:
    tacs = [RIGHT_TAC if number % 3 else b"\0\0\0\0" for number in range(1001)]
    with RawPeer(hsm_process.port) as peer:
        error, fields = peer.ask(b"F0", bulk_fields(tacs))
    bits = "".join(f"{byte:08b}" for byte in fields[4:])
    assert (error, fields[:4]) == ("00", (1001).to_bytes(4))
    assert bits == "".join("1" if number % 3 else "0" for number in range(1001)).ljust(1008, "0")


def test_large_requests_behind_one_another_are_each_answered_for_their_own_rows(
    hsm_process: RunningHsm,
) -> None:
    rows, steps = 24_000, (2, 3, 5, 7)
    asked = [bulk_fields([b"\0\0\0\0", *[RIGHT_TAC] * (step - 1)] * (rows // step)) for step in steps]
    with RawPeer(hsm_process.port) as peer:
        sending = Thread(target=lambda: peer.send(b"".join(frame(b"F0", fields) for fields in asked)))
        sending.start()
        answers = [peer.receive_frame() for _ in steps]
        sending.join()
    for step, answer in zip(steps, answers, strict=True):
        assert answer is not None and answer[4:8] == b"F100"
        bits = "".join(f"{byte:08b}" for byte in answer[12:])
        assert bits.rstrip("0") == ("0" + "1" * (step - 1)) * (rows // step)


def test_a_tap_does_not_wait_for_the_nights_work(hsm_process: RunningHsm) -> None:
    night = frame(b"F0", bulk_fields([RIGHT_TAC] * 300_000))
    with RawPeer(hsm_process.port) as bulk, RawPeer(hsm_process.port) as gate:
        bulk.send(night)
        for _ in range(20):
            gate.send(EXAMPLE_REQUEST)
            assert gate.receive(len(EXAMPLE_ANSWER)) == EXAMPLE_ANSWER
        bulk.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            bulk.socket.recv(1)
        bulk.socket.settimeout(20)
        answer = bulk.receive_frame()
    assert answer == b"\0\0\0\1F100" + (300_000).to_bytes(4) + b"\xff" * 37_500


@pytest.mark.parametrize(
    "wrong", ["0000", "0005 0102030405", "FFFF 01000001", "FFFF 00000005", "FFFF FFFFFFFF"]
)
def test_a_frame_out_of_bounds_ends_its_connection_and_no_other(hsm_process: RunningHsm, wrong: str) -> None:
    with RawPeer(hsm_process.port) as other, RawPeer(hsm_process.port) as peer:
        peer.send(bytes.fromhex(wrong))
        assert peer.receive(1) == b""
        assert other.ask(b"B2", b"0000") == ("00", b"")


def test_bad_requests_leave_the_connection_alive(hsm_process: RunningHsm) -> None:
    with RawPeer(hsm_process.port) as peer:
        assert peer.ask(b"XX") == ("68", b"")
        assert peer.ask(b"E0", b"short") == ("80", b"")
        assert peer.ask(b"N0", b"999") == ("15", b"")
        assert peer.ask(b"G6", b"\x63") == ("12", b"")
        assert peer.ask(b"E0", b"\1\2" + bytes(44)) == ("26", b"")
        assert peer.ask(b"E6", b"\1\0" + bytes(42)) == ("01", b"")
        assert peer.ask(b"B2", b"0001!") == ("00", b"!")


def test_a_request_may_come_byte_by_byte(hsm_process: RunningHsm) -> None:
    with RawPeer(hsm_process.port) as peer:
        for byte in EXAMPLE_REQUEST:
            peer.send(bytes((byte,)))
        assert peer.receive(len(EXAMPLE_ANSWER)) == EXAMPLE_ANSWER


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.binary(max_size=60)
        | st.binary(min_size=6, max_size=80).map(lambda body: len(body).to_bytes(2) + body)
    )
)
def test_no_bytes_bring_the_hsm_down(hsm_process: RunningHsm, pieces: list[bytes]) -> None:
    with RawPeer(hsm_process.port) as peer, RawPeer(hsm_process.port) as other:
        try:
            for piece in pieces:
                peer.send(piece)
        except ConnectionError:
            assert other.ask(b"B2", b"0000") == ("00", b"")
        assert other.ask(b"B2", b"0000") == ("00", b"")


def test_it_ends_cleanly_on_sigterm_even_in_mid_work_and_leaves_no_process(tmp_path: Path) -> None:
    assert program("init", "--home", tmp_path, "--demo").returncode == 0
    with serving(tmp_path) as (process, port), RawPeer(port) as peer:
        assert peer.ask(b"F0", bulk_fields([RIGHT_TAC]))[0] == "00"
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) == 1
        peer.send(frame(b"F0", bulk_fields([RIGHT_TAC] * 200_000)))
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
        assert peer.receive(1) == b""
    assert not any(worker.is_running() for worker in workers)
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_worker_that_was_killed_is_replaced(tmp_path: Path) -> None:
    assert program("init", "--home", tmp_path, "--demo").returncode == 0
    with serving(tmp_path) as (process, port), RawPeer(port) as peer:
        assert peer.ask(b"F0", bulk_fields([RIGHT_TAC]))[1][4:] == b"\x80"
        [worker] = psutil.Process(process.pid).children()
        worker.kill()
        worker.wait(5)
        time.sleep(0.2)
        assert peer.ask(b"F0", bulk_fields([RIGHT_TAC]))[1][4:] == b"\x80"


def test_a_worker_ends_when_the_hsm_is_killed(tmp_path: Path) -> None:
    assert program("init", "--home", tmp_path, "--demo").returncode == 0
    with serving(tmp_path) as (process, port), RawPeer(port) as peer:
        peer.ask(b"F0", bulk_fields([RIGHT_TAC]))
        [worker] = psutil.Process(process.pid).children()
        process.kill()
        worker.wait(5)


def test_production_refuses_demo_keys_and_takes_others(tmp_path: Path) -> None:
    demo, own = tmp_path / "demo", tmp_path / "own"
    assert program("init", "--home", demo, "--demo").returncode == 0
    refused = program("serve", "--home", demo, "--port", "0", "--production")
    assert refused.returncode == 2
    assert "demo keys, which everybody knows, and --production is given; make other keys" in refused.stderr
    assert program("init", "--home", own).returncode == 0
    with serving(own, "--production") as (_, port), RawPeer(port) as peer:
        assert peer.ask(b"NC")[1][16:] == b"SIMULATOR hsm-sim 0.1.0"
    assert "SIMULATOR" in (own / "log").read_text()


def test_init_refuses_to_write_over_keys(tmp_path: Path) -> None:
    assert program("init", "--home", tmp_path).returncode == 0
    before = (tmp_path / "keys.json").read_bytes()
    again = program("init", "--home", tmp_path, "--demo")
    assert again.returncode == 2
    assert "keys.json exists and is not written over" in again.stderr
    assert (tmp_path / "keys.json").read_bytes() == before


def test_a_port_that_is_taken_is_said_so(tmp_path: Path, hsm_process: RunningHsm) -> None:
    assert program("init", "--home", tmp_path).returncode == 0
    refused = program("serve", "--home", tmp_path, "--port", str(hsm_process.port))
    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1:{hsm_process.port}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_rotated_keys_are_served_from_the_next_start(tmp_path: Path) -> None:
    assert program("init", "--home", tmp_path, "--demo").returncode == 0
    assert "PK version   2" in program("rotate", "--home", tmp_path, "--usage", "PK").stdout
    assert "PK version   2" in program("status", "--home", tmp_path).stdout
    with serving(tmp_path) as (_, port), RawPeer(port) as peer:
        assert peer.ask(b"E0", EXAMPLE_REQUEST[8:]) == ("A9", b"")
        newest, second = (peer.ask(b"E0", version + EXAMPLE_REQUEST[9:]) for version in (b"\0", b"\2"))
        assert newest == second
        assert newest[0] == "00"
        assert newest[1] != EXAMPLE_ANSWER[-4:]


def test_a_rotation_with_overlap_serves_cards_in_the_field_until_retired(tmp_path: Path) -> None:
    assert program("init", "--home", tmp_path, "--demo").returncode == 0
    rotated = program("rotate", "--home", tmp_path, "--usage", "PK", "--usage", "LK", "--overlap").stdout
    assert [line[13:].strip(' 1') for line in rotated.splitlines() if "overlaps" in line] == [
        "check value 08D7B4, overlaps", "check value 491510, overlaps"
    ]  # fmt: skip
    with serving(tmp_path) as (_, port), RawPeer(port) as peer:
        peer.send(EXAMPLE_REQUEST)
        assert peer.receive(len(EXAMPLE_ANSWER)) == EXAMPLE_ANSWER
    retired = program("retire", "--home", tmp_path, "--usage", "PK").stdout
    assert re.findall(r"^(..) version   1 .*, (.*)$", retired, re.MULTILINE) == [
        ("PK", "verifies only"), ("LK", "overlaps")
    ]  # fmt: skip
    with serving(tmp_path) as (_, port), RawPeer(port) as peer:
        assert peer.ask(b"E0", EXAMPLE_REQUEST[8:]) == ("A9", b"")


def use_everything(port: int) -> list[bytes]:
    """Have every kind of key used: the clear keys that this gave to the host."""
    with RawPeer(port) as peer:
        peer.ask(b"NC")
        peer.ask(b"E0", EXAMPLE_REQUEST[8:])
        peer.ask(b"F0", bulk_fields([RIGHT_TAC]))
        assert peer.ask(b"F2", b"\1\0" + bytes(16) + b"\1")[0] == "00"
        made = peer.ask(b"A0", b"0M6ACE256")[1]
        assert peer.ask(b"M6", made[:-6] + b"00001x")[0] == "00"
        peer.ask(b"G0", b"\1METRO-1 " + bytes(32))
        peer.ask(b"G4", b"\0" + bytes(32))
        peer.ask(b"G6", b"\0")
        peer.ask(b"G8", b"\0message")
        data_key = peer.ask(b"H2", b"\1" + peer.ask(b"H0", b"\0")[1][33:])[1]
        block = peer.ask(b"I0", b"\0T0000001")[1][25:49]
        peer.ask(b"I2", block + b"message")
        peer.ask(b"I6", b"\0\1T0000001")
        peer.ask(b"??", b"")
        peer.send(b"\0\0")
        assert peer.receive(1) == b""
    return [data_key]


@pytest.mark.parametrize("given_lmk", [None, "5a" * 31 + "01"], ids=["from a file", "from the environment"])
def test_no_key_shows_in_files_output_or_log(tmp_path: Path, given_lmk: str | None) -> None:
    home, transport = tmp_path / "hsm", tmp_path / "transport.key"
    variables = {} if given_lmk is None else {"HSM_SIM_LMK": given_lmk}
    said = []
    for words in (
        ("init", "--home", home, "--transport-key-file", transport),
        ("init", "--home", home),
        ("rotate", "--home", home, "--usage", "SK"),
        ("status", "--home", home),
    ):
        done = program(*words, **variables)
        said += [done.stdout.encode(), done.stderr.encode()]
    phrases = {"alice": "zkq-vv7t-x1", "bob": "w8hd-jjp0-u4"}
    for name, phrase in phrases.items():
        done = program("operator", "--home", home, "--name", name, typed=[phrase] * 2, **variables)
        said += [done.stdout.encode(), done.stderr.encode()]
    with serving(home, **variables) as (process, port):
        done = authorise(home, **phrases)
        said += [done.stdout.encode(), done.stderr.encode()]
        secrets = use_everything(port)
        [worker] = psutil.Process(process.pid).children()
        assert "HSM_SIM_LMK" not in worker.environ()
        said.append(" ".join([*worker.cmdline(), *worker.environ().values()]).encode())
    said.append(program("status", "--home", home, HSM_SIM_LMK="00" * 32).stderr.encode())
    assert b"does not open under the LMK" in said[-1]
    keys, lmk = open_home(home, given_lmk=None if given_lmk is None else bytes.fromhex(given_lmk))
    assert (home / "lmk.key").exists() is (given_lmk is None)
    said.append(program("audit", "--home", home).stdout.encode())
    said += [path.read_bytes() for path in home.iterdir() if path.name != "lmk.key" and path.is_file()]
    everything = b"\n".join(said)
    assert b"check value" in everything
    assert len(keys.slots) == len(Usage) + 1
    for secret in (*keys.slots.values(), lmk, *map(str.encode, phrases.values()), *secrets):
        assert not [form for form in forms(secret) if form in everything]
