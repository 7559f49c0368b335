"""The whole web service: the API under /v1, and the pages beside it."""

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from api.doors import console, now, settings
from api.http.app import make_api
from api.http.state import Deps, NoSender
from api.pages.app import make_app
from api.peers import as_doors, connected_peers
from card.vault import open_vault
from city.world import City

START_TIMEOUT_S = 20.0


class CodesOnTheConsole:
    """The sender of one-time codes where no other is set up; production has none until one is."""

    def send(self, phone: str, code: str) -> None:
        """Show the code, and of the phone only its end."""
        console.print(f"one-time code {code} for the phone ending in {phone[-4:]}")


@contextmanager
def doors_of(city: City) -> Iterator[Deps]:
    """The doors of an open city: its books, HSM and vault, and the peers that the settings name."""
    chosen = settings()
    with connected_peers(chosen) as peers:
        vault = open_vault(city.engine, city.hsm, random=secrets.token_bytes, at=now())
        sender = NoSender() if chosen.production else CodesOnTheConsole()
        yield Deps(city.engine, city.hsm, vault, now, as_doors(peers), sender)


def make_service(doors: Deps, nights_folder: Path, *, open_finance: bool = False) -> FastAPI:
    """One application: what is not the API's is a page's."""
    service = make_api(doors)
    service.mount("/", make_app(doors, nights_folder, open_finance=open_finance))
    return service


@contextmanager
def serving(application: FastAPI) -> Iterator[str]:
    """Serve on a free loopback port from a thread of this process; gives the base address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise ChildProcessError("the web service did not start")
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
