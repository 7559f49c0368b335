"""The examples of docs/formats/hsm.md: every command has one, and each is answered byte for byte.

They are of an HSM with demo keys, the LMK 00 01 … 1F and a source of randomness that gives 00 01 02 ….
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hsm_sim.bulk_work import BulkWork
from hsm_sim.commands import COMMANDS, answer
from hsm_sim.keys import lmk_check_value
from hsm_sim.wire import ErrorCode, FrameDecoder, Request, encode_answer

from city.processes import RunningHsm
from tests.hsm_sim.host_peer import LMK, machine
from tests.hsm_sim.raw_peer import RawPeer

FORMAT = Path(__file__).resolve().parents[2] / "docs" / "formats" / "hsm.md"
BOX = replace(machine(), lmk_check=lmk_check_value(LMK), version="0.1.0")


def examples() -> list[tuple[bytes, bytes, str, str]]:
    """Request, answer, and their fields as text where the example shows them so."""
    section = FORMAT.read_text(encoding="utf-8").split("## Examples")[1].split("\n## ")[0]
    [block] = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    found = []
    for part in block.strip().split("\n\n"):
        said: dict[str, str] = {}
        for name, text in re.findall(
            r"^(request|fields|answer|gives) +(.*(?:\n {9}.*)*)", part, re.MULTILINE
        ):
            said[name] = (
                "".join(text.split()) if name in ("request", "answer") else "".join(text.split("\n         "))
            )
        request, reply = (bytes.fromhex(said[name]) for name in ("request", "answer"))
        found.append((request, reply, said.get("fields", ""), said.get("gives", "")))
    return found


def parsed(frame: bytes) -> Request:
    frames = FrameDecoder()
    frames.feed(frame)
    request = frames.next_request()
    assert request is not None
    return request


EXAMPLES = examples()


def test_every_command_has_an_example() -> None:
    shown = {parsed(request).command for request, *_ in EXAMPLES}
    assert sorted(shown) == sorted(COMMANDS)


@pytest.mark.parametrize(
    ("request_frame", "answer_frame", "fields", "gives"),
    EXAMPLES,
    ids=[one[0][6:8].decode() for one in EXAMPLES],
)
def test_the_example_is_answered_byte_for_byte(
    hsm_process: RunningHsm, request_frame: bytes, answer_frame: bytes, fields: str, gives: str
) -> None:
    request = parsed(request_frame)
    found = answer(BOX, request)
    if isinstance(found, BulkWork):
        with RawPeer(hsm_process.port) as peer:
            peer.send(request_frame)
            reply = peer.receive(len(answer_frame))
    else:
        assert not isinstance(found, ErrorCode)
        reply = encode_answer(request, ErrorCode.DONE, found)
    assert reply.hex() == answer_frame.hex()
    assert not fields or fields.encode("ascii") == request.fields
    assert not gives or gives.encode("ascii") == answer_frame[10:]
