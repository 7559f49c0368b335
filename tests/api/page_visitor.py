"""A visitor of the pages: a browser's manners without a browser - cookies kept, forms filled in and sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from lxml import html

from api.web import make_service
from ledger.balances import balance
from ledger.db import reading
from tests.api.http_doors import Doors, doors_to_nothing, person
from tests.support.clearing_day import card_no

ORIGIN = "https://onecard.test"


@dataclass
class Visitor:
    """Somebody at the pages; every POST says where it comes from, as a browser does."""

    client: TestClient
    doors: Doors

    def get(self, path: str, **headers: str) -> Response:
        return self.client.get(path, headers=headers)

    def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> Response:
        return self.client.post(path, data=fields or {}, headers={"Origin": ORIGIN} | headers)

    def send(self, page: Response, action: str, place: int = 0, **fields: str) -> Response:
        """Fill in the form of a page that goes to `action`, and send it with everything hidden in it."""
        form = tree_of(page).xpath(f"//form[@action='{action}' and @method='post']")[place]
        values = {name: str(value or "") for name, value in form.form_values()}
        unknown = set(fields) - {one.get("name") for one in form.xpath(".//input|.//select")}
        assert not unknown, f"the form has no field {unknown}"
        return self.post(action, values | fields)

    def sign_in(self, number: int = 1) -> str:
        """Enrol test person `number` and come in by forms; the holder's id."""
        holder = self.doors.enrol(number)
        asked = self.send(self.get("/sign-in"), "/sign-in", identity=person(number)["identity_no"])
        opened = self.send(asked, "/sign-in/code", code=self.doors.phones.messages[-1][1])
        assert opened.url.path == "/me", opened.text
        return holder

    def wallet_fen(self, holder: str) -> int:
        """What is in a wallet."""
        with reading(self.doors.engine) as conn:
            return balance(conn, f"wallet:{holder}").balance_fen

    def tie(self, holder: str, number: int = 1) -> str:
        """Tie a card to a holder at a counter; its number."""
        counter = self.doors.institution("COUNTER")
        tied = self.doors.client.put(f"/v1/holders/{holder}/cards/{card_no(number)}", headers=counter)
        assert tied.status_code == 200
        return card_no(number)

    def buy(self, holder: str, amount_fen: int, reference: str = "b1") -> None:
        """Let a shop take money from a holder's wallet."""
        shop = self.doors.institution("SHOP-1") | {"Idempotency-Key": reference}
        body = {"reference": reference, "holder": holder, "amount_fen": amount_fen}
        assert self.doors.client.post("/v1/payments", json=body, headers=shop).status_code == 201


@contextmanager
def visiting(
    doors: Doors, folder: Path, *, open_finance: bool = False, language: str = "en"
) -> Iterator[Visitor]:
    """A visitor of the whole service on these doors; one at a time."""
    service = one_service()
    service.state.deps, pages = doors.deps, service.state.pages
    pages.state.deps, pages.state.nights_folder, pages.state.open_finance = doors.deps, folder, open_finance
    headers = {"Accept-Language": language}
    with TestClient(service, ORIGIN, raise_server_exceptions=False, headers=headers) as client:
        yield Visitor(client, doors)


@cache
def one_service() -> FastAPI:
    """One service for all visitors of a process, who come one after the other; only what is behind it changes."""
    return make_service(doors_to_nothing(), Path())


def tree_of(page: Response | str) -> Any:
    """The elements of a page, to be asked by XPath."""
    return html.fromstring(page if isinstance(page, str) else page.text)


def said(page: Response) -> str:
    """What a page says to whoever reads it."""
    return spoken(tree_of(page))


def spoken(element: Any) -> str:
    """The words of an element and all in it, a space between."""
    return " ".join(" ".join(str(text) for text in element.itertext()).split())
