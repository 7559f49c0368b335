"""The whole web service: the API under /v1, and the pages beside it."""

import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from math import ceil
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from api.doors import console, now, settings
from api.http.app import make_api
from api.http.state import Deps, NoSender
from api.pages.app import make_app
from api.peers import as_doors, connected_peers
from card.vault import open_vault
from city.processes import keep_loaded, write_port
from city.serving import listener
from city.world import City
from clearing.landing import Landing
from ledger.archive import Archive
from ledger.sharing import Shared

START_TIMEOUT_S = 20.0
LEASE_TIMEOUTS = 12
"""How many of the peers' timeouts a request that asks them may take; it asks two or three times at most."""


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
        lease = timedelta(seconds=LEASE_TIMEOUTS * chosen.peer_timeout_s)
        # Closed when the server has answered everybody, before the peers and the books are.
        with Shared(city.engine) as writer:
            yield Deps(
                city.engine, writer, city.hsm, vault, now, as_doors(peers), sender,
                lease=lease, archive=Archive(city.home.ledger_archive),
                landing=Landing(city.home.inbox, city.home.archive),
                bank_folder=chosen.bank_inbox(),
            )  # fmt: skip


def make_service(doors: Deps, nights_folder: Path, *, open_finance: bool = False) -> FastAPI:
    """One application: what is not under the API's /v1 is a page's, and what is there is answered by the API."""
    service, pages = make_api(doors), make_app(doors, nights_folder, open_finance=open_finance)
    service.state.pages = pages
    nowhere = service.router.default

    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        if f"{scope.get('path', '')}/".startswith("/v1/"):
            await nowhere(scope, receive, send)
        else:
            # The pages find their own addresses by their own router.
            await pages({name: scope[name] for name in scope if name != "router"}, receive, send)

    service.router.default = elsewhere
    return service


def serve_service(
    application: FastAPI, host: str, port: int, *, port_file: Path | None, listening: Callable[[int], None]
) -> None:
    """Serve until SIGTERM or Ctrl-C; `listening` is told the port, and so is who reads `port_file`.

    Port 0 takes a free one. What is asked by then is answered, for as long as a request may take: a client that never
    ends its own keeps nobody here. Raises OSError where the address cannot be had.
    """
    with listener(host, port) as door:
        patience_s = ceil(LEASE_TIMEOUTS * settings().peer_timeout_s)
        chosen = uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=patience_s)
        server = uvicorn.Server(chosen)
        with _ended_by_itself(server):
            found: int = door.getsockname()[1]
            listening(found)
            write_port(port_file, found)
            keep_loaded()
            server.run(sockets=[door])


@contextmanager
def _ended_by_itself(server: uvicorn.Server) -> Iterator[None]:
    """SIGTERM ends the server, and not the process: what else it has open is still to be closed.

    A server that was told to end tells its process again what it was told, once it has answered what was asked. One
    that does not listen to signals yet is told by this.
    """

    def end(*_: object) -> None:
        server.should_exit = True

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def serving(application: FastAPI) -> Iterator[str]:
    """Serve on a free loopback port from a thread of this process; gives the base address."""
    with listener("127.0.0.1", 0) as door:
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise ChildProcessError("the web service did not start")
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
