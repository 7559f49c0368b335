"""`onecard clients …`: the programs of institutions that may call the API."""

import secrets
from collections.abc import Sequence
from typing import Annotated

import typer
from sqlalchemy import Connection, select

from api.doors import DEMO_MARK, Refused, books, console, now, settings
from api.http.clients import disable_client, register_client
from api.http.tables import client
from api.http.tokens_kept import SCOPES
from api.listings import Listing, prose
from city.home import CITY_ZONE
from city.sectors import INSTITUTIONS
from ledger.accounts import Conflict
from ledger.db import reading, writing

SECRET_BYTES = 32


Name = Annotated[str, typer.Argument(help="the client's id: 1 to 32 letters, digits, dots and dashes")]


def add(
    name: Name,
    participant: Annotated[str, typer.Option(help="the participant that it acts for, such as SHOP-1")],
    scope: Annotated[list[str], typer.Option(help=f"what it may, once for each: {', '.join(SCOPES)}")],
) -> None:
    """Let a program in, and print its secret, which is kept nowhere: hand it over and clear the screen."""
    _refuse_demo(name)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    with books() as engine:
        try:
            with writing(engine) as conn:
                _refuse_known(conn, name)
                register_client(conn, name, secret, participant, scope, now())
        except (ValueError, Conflict) as error:
            raise Refused(str(error)) from error
    console.print(f"Client {name} of {participant} may {' '.join(sorted(set(scope)))}", soft_wrap=True)
    console.print(f"secret: {secret}", soft_wrap=True, highlight=False)


def list_clients() -> None:
    """List the programs that have been let in; secrets are not kept and cannot be shown."""
    table = Listing("client", "participant", prose("scopes"), "since", "shut out")
    columns = client.c
    with books() as engine, reading(engine) as conn:
        for row in conn.execute(select(client).order_by(columns.participant, columns.client_id)):
            since, shut_out = (
                "" if instant is None else instant.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M")
                for instant in (row.registered_at, row.disabled_at)
            )
            table.add(row.client_id, row.participant, row.scopes, since, shut_out)
    console.print(table or "No program is let in; `onecard clients add` lets one in")


def disable(name: Name) -> None:
    """Shut a program out at once, with every token it holds; its id is never given to another."""
    with books() as engine:
        try:
            with writing(engine) as conn:
                disable_client(conn, name, now())
        except LookupError as error:
            raise Refused(str(error.args[0])) from error
    console.print(f"Client {name} is shut out")


def demo_clients() -> Sequence[str]:
    """The ids of the demonstration's programs."""
    return [one.client_id for one in INSTITUTIONS]


def _refuse_demo(name: str) -> None:
    """In production, neither a demonstration's books nor the names of its programs."""
    chosen = settings()
    if not chosen.production:
        return
    if (chosen.home / DEMO_MARK).exists():
        raise Refused(
            f"{chosen.home} keeps a demonstration; set ONECARD_HOME and ONECARD_DATABASE to the city's own"
        )
    if name in demo_clients():
        raise Refused(f"client {name} is one of the demonstration's; give the program another name")


def _refuse_known(conn: Connection, name: str) -> None:
    """A program has one secret for good: whoever lost it gets another client."""
    if conn.execute(select(client.c.client_id).where(client.c.client_id == name)).one_or_none() is not None:
        raise Refused(
            f"client {name} is there already; disable it where its secret is lost, and add one of another name"
        )
