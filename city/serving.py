"""How a simulated institution serves: on the loopback, its port told to who waits for it, until it is stopped."""

import socket
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from city.processes import write_port


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens at an address (port 0: any free one), whose connections send at once what they are given.

    An event loop sees to that only for sockets it has made itself. Otherwise an answer's body waits, after its head,
    until the client has acknowledged that: 40 ms.
    """
    listening = socket.create_server((host, port), backlog=256)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def serve_app(app: FastAPI, port: int, port_file: Path | None) -> None:
    """Serve an application on a port of the loopback (0: any free one) until SIGTERM."""
    with listener("127.0.0.1", port) as listening:
        write_port(port_file, listening.getsockname()[1])
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])
