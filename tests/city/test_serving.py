"""What serves the city's institutions, and the API."""

import socket

from city.serving import listener


def test_a_connection_sends_at_once_what_it_is_given() -> None:
    with listener("127.0.0.1", 0) as door, socket.create_connection(door.getsockname()):
        connection, _ = door.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
