"""`onecard pos …`: the gateway for counters, and a counter's terminal to try it with."""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from api.city_doors import city
from api.doors import Refused, console, now, settings
from api.gateway.gateway import Gateway
from api.gateway.server import GatewayServer
from api.gateway.terminals import GatewayTerminal, enrol_terminal
from api.listings import Listing, figure
from city.home import CITY_ZONE
from city.processes import keep_loaded, write_port
from ledger.accounts import Conflict
from ledger.db import writing
from ledger.money import yuan
from terminals.pos import Pos, PosOutcome
from terminals.pos_journal import PosJournal
from terminals.pos_line import TcpLine
from terminals.pos_messages import PosIdentity
from terminals.pos_pinpad import KeyRefused, PinPad
from terminals.pos_texts import shown

Terminal = Annotated[str, typer.Argument(help="the terminal's 8 characters, such as POS00001")]
Card = Annotated[str, typer.Argument(help="the card's 20 digits")]
Amount = Annotated[int, typer.Argument(help="amount in fen", min=1)]
Address = Annotated[str, typer.Option("--gateway", help="host:port of the gateway")]
AT_HOME = "127.0.0.1:8583"


def gateway(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on; 0 takes a free one")] = 8583,
    port_file: Annotated[Path | None, typer.Option(help="file to write the port to, once it listens")] = None,
) -> None:
    """Serve counters until SIGTERM or Ctrl-C; what is in hand is answered first."""
    with city() as opened:
        made = Gateway(opened.engine, opened.hsm, now)
        keep_loaded()
        try:
            asyncio.run(_serve(made, host, port, port_file))
        except OSError as error:
            raise Refused(f"{host}:{port} cannot be listened on: {error}; give another --port") from error


async def _serve(gateway: Gateway, host: str, port: int, port_file: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def listening(found: int) -> None:
        console.print(f"Counters are served on {host}:{found} (Ctrl-C ends)")
        write_port(port_file, found)

    await GatewayServer(gateway).serve(host, port, stop=stop, listening=listening)


def enrol(
    terminal: Terminal,
    merchant: Annotated[str, typer.Argument(help="the participant it belongs to")],
    specification: Annotated[str, typer.Option(help="china-pos or ascii")] = "china-pos",
) -> None:
    """Let a terminal in at the gateway and put its master key into it; again, it changes nothing."""
    with city() as opened:
        key = opened.hsm.terminal_master_key(terminal)
        entered = GatewayTerminal(terminal, merchant, key.version, specification=specification)
        try:
            with writing(opened.engine) as conn:
                first = enrol_terminal(conn, entered, at=now())
        except (ValueError, Conflict) as error:
            raise Refused(str(error)) from error
    folder = _folder(terminal)
    folder.mkdir(parents=True, exist_ok=True)
    identity = {"terminal": terminal, "merchant": merchant, "specification": specification}
    (folder / "terminal.json").write_text(json.dumps(identity | {"master_key": key.wrapped.hex()}) + "\n")
    said = "enrolled" if first else "was enrolled before"
    console.print(f"Terminal {terminal} of {merchant} {said}; it is kept in {folder}", soft_wrap=True)


def sign_on(terminal: Terminal, address: Address = AT_HOME) -> None:
    """Get a new working key from the gateway."""
    with _at(terminal, address) as counter:
        if not counter.sign_on():
            raise Refused(f"the gateway at {address} gives no key; is it running, is {terminal} enrolled?")
    console.print(f"Terminal {terminal} has a new working key")


def purchase(terminal: Terminal, card_no: Card, amount_fen: Amount, address: Address = AT_HOME) -> None:
    """Take an amount from the wallet behind a card."""
    with _at(terminal, address) as counter:
        _tell(counter.purchase(card_no, amount_fen, at=now()))


def stand_in(terminal: Terminal, card_no: Card, amount_fen: Amount, address: Address = AT_HOME) -> None:
    """Take a purchase at the merchant's own risk; the gateway is told now or later."""
    with _at(terminal, address) as counter:
        _tell(counter.stand_in(card_no, amount_fen, at=now()))


def balance(terminal: Terminal, card_no: Card, address: Address = AT_HOME) -> None:
    """Ask what is in the wallet behind a card."""
    with _at(terminal, address) as counter:
        _tell(counter.balance(card_no, at=now()))


def refund(
    terminal: Terminal,
    ticket: Annotated[int, typer.Argument(help="number of the purchase in the terminal's journal")],
    amount_fen: Amount,
    address: Address = AT_HOME,
) -> None:
    """Give back all or part of a purchase of this terminal."""
    with PosJournal(_journal_file(terminal)) as journal:
        original = journal.ticket(ticket)
    if original is None:
        raise Refused(
            f"terminal {terminal} has no ticket {ticket}; `onecard pos journal {terminal}` lists them"
        )
    with _at(terminal, address) as counter:
        _tell(counter.refund(original, amount_fen, at=now()))


def deliver(terminal: Terminal, address: Address = AT_HOME) -> None:
    """Send the reversals and advices that wait in the terminal."""
    with _at(terminal, address) as counter:
        waiting = counter.deliver()
    if waiting:
        raise Refused(f"{waiting} wait still; the gateway at {address} does not answer, try again later")
    console.print("The gateway has everything")


def journal(terminal: Terminal) -> None:
    """List the terminal's tickets."""
    table = Listing(
        figure("ticket"), "when", "kind", "card", figure("yuan"), "state", "code", "reference", title=terminal
    )
    with PosJournal(_journal_file(terminal)) as kept:
        for each in kept.tickets():
            when = each.at.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S")
            amount = yuan(each.amount_fen)
            table.add(
                str(each.number), when, each.kind, each.card_no, amount, each.state, each.code, each.retrieval
            )
    console.print(table or f"Terminal {terminal} has no ticket yet")


@contextmanager
def _at(terminal: str, address: str) -> Iterator[Pos]:
    """The terminal at work."""
    with pos_at(terminal, address) as (opened, _):
        yield opened


@contextmanager
def pos_at(terminal: str, address: str) -> Iterator[tuple[Pos, PosJournal]]:
    """A terminal at work, and its journal. What its keys or a value do not let it do is said as a refusal."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise Refused(f"--gateway is {address!r}; give host:port, such as {AT_HOME}")
    line = TcpLine(host, int(port))
    try:
        kept = json.loads(_terminal_file(terminal).read_text())
        transport_key = bytes.fromhex((settings().city_home().hsm / "transport.key").read_text())
        pinpad = PinPad(bytes.fromhex(kept["master_key"]), transport_key)
        identity = PosIdentity(kept["terminal"], kept["merchant"], kept["specification"])
        with PosJournal(_journal_file(terminal)) as opened:
            yield Pos(identity, opened, pinpad, line), opened
    except (KeyRefused, ValueError) as error:
        raise Refused(str(error)) from error
    finally:
        line.close()


def _tell(outcome: PosOutcome) -> None:
    text = shown(outcome)
    console.print(f"{text.chinese}　{text.english}", soft_wrap=True)
    if not text.good:
        raise typer.Exit(1)


def _folder(terminal: str) -> Path:
    return settings().city_home().world / "pos" / terminal


def _terminal_file(terminal: str) -> Path:
    path = _folder(terminal) / "terminal.json"
    if not path.exists():
        raise Refused(
            f"no terminal {terminal} is kept here; `onecard pos enrol {terminal} MERCHANT` makes it"
        )
    return path


def _journal_file(terminal: str) -> Path:
    return _terminal_file(terminal).with_name("journal.db")
