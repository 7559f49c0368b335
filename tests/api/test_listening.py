"""Programs that take a free port tell it in a file, for whoever started them; what they start ends with them."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM, raise_signal, signal
from threading import Event, Thread
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from api import web
from city.processes import PROJECT, wait_for_port
from terminals.pos_line import HostGone, TcpLine

HALF_A_REQUEST = (
    b"POST /v1/oauth/token HTTP/1.1\r\nHost: here\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 64\r\n\r\ngrant_type="
)


@contextmanager
def onecard(home: Path, *words: str, **settings: str) -> Iterator[int]:
    """A `onecard` that listens, and its port; it ends by itself when it is asked to."""
    home.mkdir()
    port_file, log = home / "port", home / "log"
    command = [sys.executable, "-c", "from api.cli import main; main()", *words, "--port", "0"]
    with log.open("wb") as told:
        process = subprocess.Popen(
            [*command, "--port-file", str(port_file)],
            cwd=PROJECT, env={"ONECARD_HOME": str(home / "var"), **settings}, stdout=told, stderr=told,
        )  # fmt: skip
    try:
        yield wait_for_port(process, port_file, log)
    finally:
        process.send_signal(SIGTERM)
        assert process.wait(timeout=20) == 0, log.read_text()


def look(port: int) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}/v1/openapi.json", trust_env=False, verify=False)


def test_the_service_says_where_it_listens(tmp_path: Path) -> None:
    with onecard(tmp_path / "api", "serve") as port:
        answer = look(port)
        hsm = "127.0.0.1", int((tmp_path / "api" / "var" / "hsm" / "port").read_text())
        socket.create_connection(hsm).close()
    assert answer.json()["openapi"].startswith("3.1")
    with pytest.raises(ConnectionRefusedError):  # the HSM that it has started ends with it
        socket.create_connection(hsm)


def test_a_request_that_never_ends_does_not_keep_the_service(tmp_path: Path) -> None:
    with onecard(tmp_path / "api", "serve", ONECARD_PEER_TIMEOUT_S="0.1") as port:
        assert look(port).status_code == 200
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(HALF_A_REQUEST)
    client.close()


@pytest.mark.parametrize("owner, begin", [(web, "write_port"), (uvicorn.Server, "run")])
def test_a_service_that_is_told_to_end_before_it_listens_to_that_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: Any, begin: str
) -> None:
    real, ended, heard = getattr(owner, begin), Event(), list[int]()

    def told(*arguments: Any, **named: Any) -> None:
        raise_signal(SIGTERM)
        real(*arguments, **named)

    def remind() -> None:
        if not ended.wait(20):
            heard.append(SIGTERM)
            os.kill(os.getpid(), SIGTERM)

    monkeypatch.setenv("ONECARD_HOME", str(tmp_path))
    monkeypatch.setattr(web, "keep_loaded", lambda: None)
    monkeypatch.setattr(owner, begin, told)
    before = signal(SIGTERM, lambda number, _: heard.append(number))
    reminder = Thread(target=remind)
    reminder.start()
    try:
        web.serve_service(FastAPI(), "127.0.0.1", 0, port_file=tmp_path / "port", listening=heard.append)
    finally:
        ended.set()
        reminder.join()
        signal(SIGTERM, before)
    assert heard == [
        int((tmp_path / "port").read_text())
    ]  # nobody had to be reminded, and only the server was told


def test_the_gateway_says_where_it_listens(tmp_path: Path) -> None:
    with onecard(tmp_path / "gateway", "pos", "gateway") as port, pytest.raises(HostGone, match="hung up"):
        TcpLine("127.0.0.1", port, timeout_s=5).ask(b"\x00", lambda _: True)
