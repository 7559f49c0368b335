"""How a simulated institution serves: on the loopback, its port told to who waits for it, until it is stopped."""

import socket
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from city.processes import write_port


def serve_app(app: FastAPI, port: int, port_file: Path | None) -> None:
    """Serve an application on a port of the loopback (0: any free one) until SIGTERM."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        write_port(port_file, listener.getsockname()[1])
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listener])
