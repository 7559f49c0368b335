"""Whole conversations with the real program, made up by Hypothesis: right, wrong, cut, split and pipelined requests."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pytest
from hsm_sim.commands import COMMANDS
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    multiple,
    rule,
    run_state_machine_as_test,
)

from city.processes import RunningHsm, copy_hsm, running_program
from tests.hsm_sim.raw_peer import RawPeer, frame

FORMAT = Path(__file__).resolve().parents[2] / "docs" / "formats" / "hsm.md"
ERRORS = set(
    re.findall(r"^\| `([0-9A-Z]{2})` \|", FORMAT.read_text().split("## Frames")[1].split("\n## ")[0], re.M)
)
KNOWN = {"version": b"\1", "algorithm": b"\0", "transport_version": b"\1", "length": b"0000", "count": b"016"}
"""Values with which a request comes further than random ones do."""
Asked = tuple[bytes, bytes]
"""Command and fields."""


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    """A request: of a known command with fields of the right length, or of another; or of no command."""
    command = draw(st.sampled_from(sorted(COMMANDS)) | st.binary(min_size=2, max_size=2))
    if command not in COMMANDS or draw(st.integers(0, 4)) == 0:
        return command, draw(st.binary(max_size=80))
    fields = b""
    for name, width in COMMANDS[command].fields:
        if name == "rows":
            rows = draw(st.integers(0, 9))
            return command, rows.to_bytes(4) + draw(st.binary(min_size=44 * rows, max_size=44 * rows))
        if width is None:
            fields += draw(st.binary(max_size=40))
        elif name in KNOWN and draw(st.booleans()):
            fields += KNOWN[name]
        elif name in ("terminal", "operator") and width == 8:
            fields += draw(st.sampled_from([b"METRO-1 ", b"T0000001", b"        "]))
        else:
            fields += draw(st.binary(min_size=width, max_size=width))
    return command, fields


class Conversations(RuleBasedStateMachine):
    """Several clients of one HSM, of which some behave."""

    port: ClassVar[int]
    peers = Bundle("peers")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[RawPeer] = []
        self.number = 0

    def teardown(self) -> None:
        """However all this went, the program answers a newcomer."""
        for peer in self.open:
            peer.socket.close()
        with RawPeer(self.port) as newcomer:
            assert newcomer.ask(b"NC")[0] == "00"

    @rule(target=peers)
    def dial(self) -> RawPeer:
        self.open.append(RawPeer(self.port))
        return self.open[-1]

    @rule(peer=peers, asked=requests())
    def ask(self, peer: RawPeer, asked: Asked) -> None:
        self.converse(peer, [asked], [])

    @rule(peer=peers, asked=requests(), cuts=st.lists(st.integers(1, 120), max_size=5))
    def ask_in_pieces(self, peer: RawPeer, asked: Asked, cuts: list[int]) -> None:
        self.converse(peer, [asked], cuts)

    @rule(
        peer=peers, asked=st.lists(requests(), max_size=40), cuts=st.lists(st.integers(1, 2000), max_size=5)
    )
    def ask_much_at_once(self, peer: RawPeer, asked: list[Asked], cuts: list[int]) -> None:
        self.converse(peer, asked, cuts)

    @rule(peer=consumes(peers), asked=requests(), kept=st.integers(0, 60))
    def leave_inside_a_frame(self, peer: RawPeer, asked: Asked, kept: int) -> None:
        peer.send(frame(*asked)[:-1][:kept])
        peer.socket.close()

    @rule(
        peer=consumes(peers),
        before=st.lists(requests(), max_size=3),
        length=st.integers(0, 5),
        rest=st.binary(),
    )
    def send_what_is_no_frame(self, peer: RawPeer, before: list[Asked], length: int, rest: bytes) -> None:
        """What was asked before it is answered, then the conversation is over."""
        self.converse(peer, before, [], tail=length.to_bytes(2) + rest)
        assert peer.receive(1) == b""

    @rule(target=peers, peer=consumes(peers), asked=st.lists(requests(), min_size=1, max_size=8))
    def leave_without_the_answers(self, peer: RawPeer, asked: list[Asked]) -> object:
        peer.send(b"".join(frame(*one) for one in asked))
        peer.socket.close()
        return multiple()

    def converse(self, peer: RawPeer, asked: list[Asked], cuts: list[int], *, tail: bytes = b"") -> None:
        """Ask all of it, cut where `cuts` say, and take an answer to each, in order."""
        headers = []
        stream = b""
        for command, fields in asked:
            self.number += 1
            headers.append(self.number.to_bytes(4))
            stream += frame(command, fields, headers[-1])
        stream += tail
        for start, end in pairwise(sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})):
            peer.send(stream[start:end])
        for header, (command, _) in zip(headers, asked, strict=True):
            found = peer.receive_frame()
            assert found is not None, f"the HSM ended the conversation at {command!r}"
            assert found[:6] == header + bytes((command[0], (command[1] + 1) & 0xFF))
            assert found[6:8].decode("ascii") in ERRORS
            assert found[6:8] == b"00" or len(found) == 8


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, hsm_process: RunningHsm) -> Iterator[int]:
    """An HSM of this test's own, which must be alive at the end and have met with nothing unforeseen."""
    home = tmp_path_factory.mktemp("fuzzed") / "hsm"
    copy_hsm(hsm_process.home, home)
    with running_program("hsm_sim", home, "serve", "--port", "0") as (found, process):
        yield found
        said = (home / "hsm_sim.log").read_text()
        assert process.poll() is None, said
        assert "Traceback" not in said


def test_any_conversations_bring_answers_and_leave_the_program_alive(port: int) -> None:
    Conversations.port = port
    run_state_machine_as_test(
        Conversations,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    with RawPeer(port) as peer:
        assert peer.ask(b"B2", b"0002ok") == ("00", b"ok")
