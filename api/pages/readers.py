"""Who of ours may look: clients with a scope, by HTTP Basic; everybody where a page was opened to all."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from starlette.exceptions import HTTPException

from api.http.clients import authenticate
from api.pages.visitor import Doors
from ledger.db import reading


def reader(scope: str, realm: str) -> Callable[..., None]:
    """The dependency that lets in clients with a scope by their id and secret. Answers 401 to anybody else."""
    basic = HTTPBasic(auto_error=False, realm=realm)

    def let_in(
        request: Request, doors: Doors, given: Annotated[HTTPBasicCredentials | None, Depends(basic)]
    ) -> None:
        if request.app.state.open_finance:
            return
        client = None
        if given is not None:
            with reading(doors.engine) as conn:
                client = authenticate(conn, given.username, given.password)
        if client is None or scope not in client.scopes:
            asked = {"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}
            raise HTTPException(401, headers=asked)

    return let_in
