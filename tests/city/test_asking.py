"""A caller asks under one key until it has its answer, and never asks again what it was answered."""

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from city.asking import Answer, Caller
from city.diary import Diary

Reply = tuple[int, bytes]


@dataclass
class Door:
    """An API that answers as it is told, and remembers under which keys it was asked."""

    answers: deque[Reply | None]
    keys: list[str] = field(default_factory=list)

    @contextmanager
    def caller(self, diary: Diary) -> Iterator[Caller]:
        """A caller at this door, which is open while the block runs."""
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                door.keys.append(self.headers["Idempotency-Key"])
                reply = door.answers.popleft()
                if reply is None:
                    return  # the connection is closed without an answer
                status, body = reply
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing on the error stream."""

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            serving.start()
            url = f"http://127.0.0.1:{server.server_port}"
            with httpx.Client(base_url=url, timeout=10, trust_env=False, verify=False) as client:
                yield Caller(client, diary)
            server.shutdown()
            serving.join()


def test_a_question_is_repeated_under_its_key_until_it_is_answered_for_good(tmp_path: Path) -> None:
    busy, no = b'{"code": "idempotency_in_progress"}', b'{"code": "insufficient"}'
    door = Door(deque([None, (503, b"{}"), (409, busy), (200, b"{torn"), (409, no)]))
    with Diary(tmp_path / "diary.jsonl") as diary, door.caller(diary) as caller:
        answer = caller.ask("7-pay", "POST", "/v1/payments", {"amount_fen": 1})
        assert (answer, answer.done) == (Answer(409, {"code": "insufficient"}), False)
        assert [sorted(line)[0] for line in diary.lines] == ["asked", "answered"]
    assert door.keys == ["7-pay"] * 5


@pytest.mark.parametrize("answered", [True, False])
def test_after_a_kill_only_what_was_not_answered_is_asked_again(tmp_path: Path, answered: bool) -> None:
    path = tmp_path / "diary.jsonl"
    with Diary(path) as diary:
        diary.note(asked="1-pay", method="POST", path="/v1/payments", body=None)
        if answered:
            diary.note(answered="1-pay", status=201, body={"state": "paid"})
    door = Door(deque([(201, b'{"state": "paid"}')]))
    with Diary(path) as diary, door.caller(diary) as caller:
        answer = caller.ask("1-pay", "POST", "/v1/payments")
    assert answer == Answer(201, {"state": "paid"})
    assert door.keys == ([] if answered else ["1-pay"])
    assert sum("asked" in json.loads(line) for line in path.read_text().splitlines()) == 1
