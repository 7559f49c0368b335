"""What serves the city's institutions, and the API."""

import gc
import socket

from city.processes import keep_loaded
from city.serving import listener


def test_a_connection_sends_at_once_what_it_is_given() -> None:
    with listener("127.0.0.1", 0) as door, socket.create_connection(door.getsockname()):
        connection, _ = door.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_what_is_loaded_when_a_server_begins_is_no_longer_looked_at() -> None:
    before = gc.get_freeze_count()
    keep_loaded()
    try:
        assert gc.get_freeze_count() > before
        assert gc.get_count()[2] == 0
    finally:
        gc.unfreeze()
