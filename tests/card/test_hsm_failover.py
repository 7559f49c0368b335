"""Two HSMs as one: who is asked in whose place, what is asked again, and who is left alone for how long."""

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card.hsm.addresses import Address, parse_addresses
from card.hsm.circuit import ANSWERED, FIRST_REST_S, LONGEST_REST_S, OPENS_AFTER, Circuit, Phase
from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from card.hsm.failover import Failover
from card.hsm.repeats import REPEATS
from tests.support.hsm_peers import Play, answers_well, peer, received

FORMAT = Path(__file__).resolve().parents[2] / "docs" / "formats" / "hsm.md"


class Scripted:
    """A peer that does with each request what `acts` say in turn, and from then on the last of them.

    `answer` gives its name back, `alarm` and `refuse` an error, `silence` nothing; `hang up` and `half` end it.
    """

    def __init__(self, name: str, *acts: str) -> None:
        self.name, self.acts = name, list(acts)
        self.heard: list[bytes] = []

    def __call__(self, connection: socket.socket, number: int) -> None:
        while (body := received(connection)) is not None:
            act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
            self.heard.append(body[4:])
            command = bytes((body[4], body[5] + 1))
            error, fields = {"alarm": (b"13", b""), "refuse": (b"12", b"")}.get(
                act, (b"00", self.name.encode())
            )
            answer = body[:4] + command + error + fields
            framed = len(answer).to_bytes(2, "big") + answer
            if act == "hang up":
                return
            if act == "half":
                connection.sendall(framed[:-1])
                return
            if act != "silence":
                connection.sendall(framed)

    def asked(self, command: bytes) -> list[bytes]:
        """The fields of the requests of one command, in order."""
        return [body[2:] for body in self.heard if body[:2] == command]


@contextmanager
def pair(
    *plays: Play, timeout_s: float = 0.3, connections: int = 2
) -> Iterator[tuple[Failover, list[float], list[Address]]]:
    """A failover over peers, with a clock that stands still until it is set on."""
    now_s = [100.0]
    with peer(plays[0]) as first, peer(plays[-1]) as second:
        addresses = [Address(*first[:2]), Address(*second[:2])][: len(plays)]
        asked = Failover(addresses, timeout_s=timeout_s, connections=connections, clock=lambda: now_s[0])
        yield asked, now_s, addresses
        asked.close()


def ask(failover: Failover, command: str = "G6", *fields: bytes) -> list[bytes]:
    return [answer.fields for answer in failover.exchange(command, lambda: fields or (b"\0",))]


@pytest.mark.parametrize("act", ["hang up", "half", "silence", "alarm"])
def test_what_the_first_does_not_answer_the_second_is_asked_in_the_same_bytes(act: str) -> None:
    first, second = Scripted("first", act), Scripted("second", "answer")
    with pair(first, second) as (hsms, _, _):
        assert ask(hsms, "E0", b"one terminal sequence") == [b"second"]
        assert first.asked(b"E0") == second.asked(b"E0") == [b"one terminal sequence"]


def test_one_that_does_not_listen_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        nobody = Address("127.0.0.1", unused.getsockname()[1])
    with peer(answers_well) as (host, port, _), Hsm.at([nobody, (host, port)], timeout_s=2) as hsm:
        assert hsm.echo(b"x") == b"x"
        assert [standing.failures for standing in hsm.standings()] == [1, 0]
    with (
        Hsm.at([nobody, nobody], timeout_s=2) as hsm,
        pytest.raises(HsmError, match=f"unreachable.*{nobody}.*{nobody}"),
    ):
        hsm.echo(b"x")


def test_a_refusal_is_an_answer_and_is_not_taken_to_another() -> None:
    first, second = Scripted("first", "refuse"), Scripted("second", "answer")
    with pair(first, second) as (hsms, _, _), pytest.raises(HsmError) as refused:
        ask(hsms)
    assert (refused.value.code, second.heard) == ("12", [])


def test_a_command_that_must_not_be_done_twice_is_lost_and_said_to_be() -> None:
    first, second = Scripted("first", "silence"), Scripted("second", "answer")
    with pair(first, second) as (hsms, _, (address, _)), pytest.raises(HsmError) as lost:
        ask(hsms, "ZX")
    assert (lost.value.code, second.heard) == ("lost", [])
    assert str(address) in str(lost.value) and "find out before you ask again" in str(lost.value)


def test_a_command_that_was_never_asked_may_go_to_another_whatever_it_is() -> None:
    second = Scripted("second", "answer")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        nobody = Address("127.0.0.1", unused.getsockname()[1])
    with peer(second) as (host, port, _):
        hsms = Failover([nobody, Address(host, port)], timeout_s=2, connections=1)
        assert ask(hsms, "ZX") == [b"second"]
        hsms.close()


def test_such_a_command_is_not_repeated_on_a_fresh_connection_either() -> None:
    only = Scripted("only", "answer", "hang up", "answer")
    with pair(only) as (hsms, _, _):
        assert ask(hsms, "ZX") == [b"only"]
        with pytest.raises(HsmError, match="error lost"):
            ask(hsms, "ZX")
        assert len(only.heard) == 2


def test_while_one_rests_it_is_not_asked_and_afterwards_it_is_probed_first() -> None:
    first, second = Scripted("first", "hang up", "answer"), Scripted("second", "answer")
    with pair(first, second) as (hsms, now_s, _):
        assert [ask(hsms) for _ in range(5)] == [[b"second"]] * 5
        assert len(first.heard) == 1
        now_s[0] += FIRST_REST_S
        assert ask(hsms) == [b"first"]
        assert [body[:2] for body in first.heard] == [b"G6", b"NC", b"G6"]
        assert [standing.failures for standing in hsms.standings()] == [0, 0]


def test_a_probe_that_fails_costs_no_answer_and_lengthens_the_rest() -> None:
    first, second = Scripted("first", "hang up"), Scripted("second", "answer")
    with pair(first, second) as (hsms, now_s, _):
        rests = []
        for _ in range(6):
            assert ask(hsms) == [b"second"]
            rests.append(hsms.standings()[0].rest_s)
            now_s[0] += rests[-1]
        assert rests == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
        assert len(first.asked(b"G6")) == 1


def test_one_alone_is_asked_again_at_once_until_it_has_failed_three_times() -> None:
    only = Scripted("only", "hang up", "hang up", "hang up", "answer")
    with pair(only) as (hsms, now_s, (address,)):
        for _ in range(OPENS_AFTER):
            with pytest.raises(HsmError, match="unreachable"):
                ask(hsms)
        with pytest.raises(HsmError) as open_circuit:
            ask(hsms)
        assert len(only.heard) == OPENS_AFTER
        assert f"{address} has failed 3 times in a row and is left alone for 0.5 s more" in str(
            open_circuit.value
        )
        now_s[0] += FIRST_REST_S
        # With nobody else to go to, the request is itself the probe.
        assert ask(hsms) == [b"only"]
        assert only.asked(b"NC") == []


def test_when_both_have_failed_the_shaky_one_is_still_asked() -> None:
    first, second = Scripted("first", "hang up", "answer"), Scripted("second", "hang up", "answer")
    with pair(first, second) as (hsms, _, addresses):
        with pytest.raises(HsmError) as both:
            ask(hsms)
        assert all(str(address) in str(both.value) for address in addresses)
        assert ask(hsms) == [b"first"]


def test_an_alarm_of_the_only_one_is_said_with_its_own_code() -> None:
    with pair(Scripted("only", "alarm")) as (hsms, _, _), pytest.raises(HsmError) as alarm:
        ask(hsms)
    assert alarm.value.code == "13"


def test_bulk_goes_on_at_the_first_request_without_an_answer() -> None:
    first, second = Scripted("first", "answer", "answer", "hang up"), Scripted("second", "answer")
    chunks = [bytes((number,)) * 8 for number in range(6)]
    with pair(first, second) as (hsms, _, _):
        assert ask(hsms, "F0", *chunks) == [b"first"] * 2 + [b"second"] * 4
        assert second.asked(b"F0") == chunks[2:]


def test_those_who_wait_for_a_connection_to_a_silent_one_go_on_to_the_other() -> None:
    first, second = Scripted("first", "silence"), Scripted("second", "answer")
    with pair(first, second, connections=1) as (hsms, _, _), ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: ask(hsms), range(64))) == [[b"second"]] * 64
        assert len(first.heard) <= 2


def test_a_closed_failover_asks_nobody() -> None:
    first = Scripted("first", "answer")
    with pair(first, first) as (hsms, _, _):
        hsms.close()
        with pytest.raises(HsmError, match="this client has been closed"):
            ask(hsms)
    assert first.heard == []


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 160).map(lambda eighths: eighths / 8)), max_size=30))
def test_a_circuit_is_open_only_after_failures_and_never_for_long(story: list[tuple[bool, float]]) -> None:
    circuit, now_s, in_a_row = ANSWERED, 0.0, 0
    for failed, later_s in story:
        circuit = circuit.failed(now_s) if failed else ANSWERED
        in_a_row = in_a_row + 1 if failed else 0
        assert circuit.failures == in_a_row
        assert circuit.rest_s(now_s) <= LONGEST_REST_S
        assert (circuit.phase(now_s) is Phase.CLOSED) == (in_a_row == 0)
        assert circuit.phase(now_s) is not Phase.OPEN or in_a_row >= OPENS_AFTER
        assert circuit.phase(now_s + LONGEST_REST_S) in (Phase.CLOSED, Phase.HALF_OPEN)
        now_s += later_s


def test_failures_that_were_under_way_together_make_one_rest() -> None:
    circuit: Circuit = ANSWERED
    for _ in range(32):
        circuit = circuit.failed(10.0)
    assert (circuit.failures, circuit.rest_s(10.0)) == (32, FIRST_REST_S)
    assert circuit.phase(10.2) is Phase.OPEN
    tried = circuit.tried(10.5)
    assert tried.phase(10.5) is Phase.OPEN
    assert tried.failed(10.6).rest_s(10.6) == 2 * FIRST_REST_S


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.5:1500", ["10.0.0.5:1500"]),
        ("hsm-a:1500, hsm-b:1501", ["hsm-a:1500", "hsm-b:1501"]),
        ("[::1]:1500", ["[::1]:1500"]),
    ],
)
def test_addresses_are_read_in_their_order(text: str, expected: list[str]) -> None:
    assert [str(address) for address in parse_addresses(text)] == expected


@pytest.mark.parametrize(
    "text", ["", "hsm", "hsm:", ":1500", "hsm:0", "hsm:65536", "a:1,,b:2", "a:1,", "a:١"]
)
def test_what_is_no_address_is_named_with_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match="is no address; give host:port"):
        parse_addresses(text)


def test_an_hsm_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="names an HSM twice"):
        parse_addresses("a:1,b:1,a:1")


def test_the_commands_that_are_repeated_are_those_of_the_format() -> None:
    section = FORMAT.read_text(encoding="utf-8").split("## An answer that is lost")[1].split("\n## ")[0]
    described: dict[str, str] = {}
    for kind in ("same", "another"):
        (line,) = re.findall(rf"^\| {kind} \| (.*?) \|", section, re.MULTILINE)
        described |= dict.fromkeys(re.findall(r"`(\w\w)`", line), kind)
    assert described == {command: str(kind) for command, kind in REPEATS.items()}
