"""The pool against peers that misbehave: they hang up, stay silent, answer nonsense."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from tests.support.hsm_peers import answers_well, echoed, peer, received


def hangs_up_after_one(connection: socket.socket, number: int) -> None:
    body = received(connection)
    if body is not None:
        connection.sendall(echoed(body))


def test_an_idle_connection_that_died_is_replaced_without_a_word() -> None:
    with peer(hangs_up_after_one) as (host, port, seen), Hsm(host, port, timeout_s=2) as hsm:
        assert [hsm.echo(b"one"), hsm.echo(b"two"), hsm.echo(b"three")] == [b"one", b"two", b"three"]
        assert len(seen) == 3


def test_good_connections_are_used_again() -> None:
    with peer(answers_well) as (host, port, seen), Hsm(host, port, timeout_s=2) as hsm:
        assert all(hsm.echo(b"x") == b"x" for _ in range(20))
        assert len(seen) == 1


def test_a_fresh_connection_that_breaks_is_not_tried_for_ever() -> None:
    def hangs_up(connection: socket.socket, number: int) -> None:
        received(connection)

    with peer(hangs_up) as (host, port, seen), Hsm(host, port, timeout_s=2) as hsm:
        with pytest.raises(HsmError) as broken:
            hsm.echo(b"x")
        assert broken.value.code == "unreachable"
        assert len(seen) == 1


def test_a_request_is_repeated_once_and_no_more() -> None:
    def answers_once_ever(connection: socket.socket, number: int) -> None:
        body = received(connection)
        if number == 0 and body is not None:
            connection.sendall(echoed(body))
            received(connection)

    with peer(answers_once_ever) as (host, port, seen), Hsm(host, port, timeout_s=2) as hsm:
        assert hsm.echo(b"x") == b"x"
        with pytest.raises(HsmError, match="unreachable"):
            hsm.echo(b"y")
        assert len(seen) == 2


def test_a_silent_hsm_is_given_up_after_the_time_out() -> None:
    def says_nothing(connection: socket.socket, number: int) -> None:
        while received(connection) is not None:
            continue

    with peer(says_nothing) as (host, port, _), Hsm(host, port, timeout_s=0.2) as hsm:
        with pytest.raises(HsmError) as silent:
            hsm.echo(b"x")
        assert silent.value.code == "unreachable"


def test_a_time_out_is_not_tried_again_even_on_a_connection_that_was_good() -> None:
    def falls_silent(connection: socket.socket, number: int) -> None:
        body = received(connection)
        if number == 0 and body is not None:
            connection.sendall(echoed(body))
        while received(connection) is not None:
            continue

    with peer(falls_silent) as (host, port, seen), Hsm(host, port, timeout_s=0.2) as hsm:
        assert hsm.echo(b"x") == b"x"
        with pytest.raises(HsmError, match="unreachable"):
            hsm.echo(b"y")
        assert len(seen) == 1


def test_a_late_answer_is_never_taken_for_that_of_the_next_request() -> None:
    """After a time-out the connection is given up, so that its late answer has no one to mislead."""

    def is_late_at_first(connection: socket.socket, number: int) -> None:
        while (body := received(connection)) is not None:
            if number == 0:
                continue
            connection.sendall(echoed(body))

    with peer(is_late_at_first) as (host, port, seen), Hsm(host, port, timeout_s=0.2) as hsm:
        with pytest.raises(HsmError):
            hsm.echo(b"first")
        assert hsm.echo(b"second") == b"second"
        assert len(seen) == 2


def test_nobody_listening_is_said_with_host_and_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with Hsm("127.0.0.1", port, timeout_s=1) as hsm, pytest.raises(HsmError) as nobody:
        hsm.diagnostics()
    assert nobody.value.code == "unreachable"
    assert f"127.0.0.1:{port}" in str(nobody.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(20_000),
        b"\x00\x03abc",
        b"\x00\x08\x00\x00\x00\x01B300"[:6] + b"\xff\xff\xff\xff",
        b"\x00\x08\x00\x00\x00\x09B300",  # another header
        b"\x00\x08\x00\x00\x00\x01E100",  # another command
    ],
)
def test_an_answer_that_is_none_is_garbled_and_the_connection_given_up(answer: bytes) -> None:
    def talks_nonsense(connection: socket.socket, number: int) -> None:
        body = received(connection)
        if number == 0:
            connection.sendall(answer)
        elif body is not None:
            connection.sendall(echoed(body))
        received(connection)

    with peer(talks_nonsense) as (host, port, seen), Hsm(host, port, timeout_s=2) as hsm:
        with pytest.raises(HsmError) as nonsense:
            hsm.echo(b"x")
        assert nonsense.value.code == "garbled"
        assert hsm.echo(b"y") == b"y"
        assert len(seen) == 2


@pytest.mark.parametrize("fields", [b"", b"123", b"12345"])
def test_fields_of_another_length_than_the_formats_are_garbled(fields: bytes) -> None:
    def answers_signature(connection: socket.socket, number: int) -> None:
        body = received(connection)
        if body is not None:
            answer = body[:4] + b"G500" + fields
            connection.sendall(len(answer).to_bytes(2, "big") + answer)

    with peer(answers_signature) as (host, port, _), Hsm(host, port, timeout_s=2) as hsm:
        with pytest.raises(HsmError) as wrong:
            hsm.sign(bytes(32))
        assert wrong.value.code == "garbled"


def test_no_more_connections_are_opened_than_allowed() -> None:
    with (
        peer(answers_well) as (host, port, seen),
        Hsm(host, port, timeout_s=5, connections=3) as hsm,
        ThreadPoolExecutor(12) as threads,
    ):
        assert all(threads.map(lambda _: hsm.echo(b"x") == b"x", range(200)))
        assert len(seen) <= 3
