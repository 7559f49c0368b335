"""`onecard serve`: the API and the pages on one port."""

from pathlib import Path
from typing import Annotated

import typer

from api.city_doors import city
from api.doors import Refused, console, settings
from api.web import doors_of, make_service, serve_service

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on; 0 takes a free one")] = 8000,
    port_file: Annotated[Path | None, typer.Option(help="file to write the port to, once it listens")] = None,
) -> None:
    """Serve the API and the pages; finance is open where only this machine can ask, and is no production."""
    open_finance = host in LOOPBACK and not settings().production

    def listening(found: int) -> None:
        here = f"http://{host}:{found}"
        console.print(f"My card: {here}/   Finance: {here}/finance   (Ctrl-C ends)")
        if not open_finance:
            console.print("Finance asks for the id and secret of a client with the scope finance:read.")
        console.print(f"API: {here}/v1/openapi.json")

    with city() as opened, doors_of(opened) as doors:
        application = make_service(doors, opened.home.nights, open_finance=open_finance)
        try:
            serve_service(application, host, port, port_file=port_file, listening=listening)
        except OSError as error:
            raise Refused(f"{host}:{port} cannot be listened on: {error}; give another --port") from error
