"""`onecard card …`: cards on readers. Virtual ones in a real reader, personalised through the HSM, read, and SAMs."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from api.card_view_table import as_document, as_tables
from api.doors import Refused, console, now, settings
from api.told_to_end import told_to_end
from card.chip import blank, sam
from card.chip.apdu import Answer
from card.chip.blank import Group
from card.chip.commands import AnswerError, Refusal, parse_done
from card.chip.files import FileError, PublicData, Region
from card.chip.status import StatusWord
from card.chip.t0 import T0Card
from card.hsm.codec import NEWEST, CardKeyRef
from card.hsm.errors import HsmError
from city.chip_file import ChipFile, ChipUnreadable, FileCard, file_sam
from city.home import CITY_ZONE
from city.pcsc import SOCKET_VARIABLE, NoPcsc, private_pcscd
from city.vpcd import CONTACT_ATR
from terminals.card_view import NotReadable, read_card
from terminals.pcsc import Pcsc, PcscCard, PcscError
from terminals.reader import CardGone

NOT_AUTHORISED, KEY_UNKNOWN, VERSION_OLD = "17", "12", "A9"
YEARS_VALID = 10


Reader = Annotated[str | None, typer.Option(help="the reader's slot by name; default: any with a card")]
Amount = Annotated[int, typer.Option("--overdraft", help="limit in fen", min=0, max=0xFFFFFF)]
Wait = Annotated[float, typer.Option("--wait", help="seconds to wait for a card", min=0)]


def readers() -> None:
    """List the slots of all PC/SC readers."""
    with speaking() as pcsc:
        for name in pcsc.readers():
            console.print(name, highlight=False)


def read(
    reader: Reader = None,
    wait: Wait = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="print it for a program")] = False,
) -> None:
    """Read the card on a reader: number, issuer, validity, balance, last loads, purchases and trips."""
    with speaking() as pcsc, connected(pcsc, reader, wait) as chip:
        view = read_card(chip)
        if isinstance(view, NotReadable):
            raise Refused(f"{chip.reader}: {view.reason}; its ATR is {chip.atr.hex(' ').upper()}")
    if as_json:
        typer.echo(json.dumps(as_document(view), ensure_ascii=False, indent=1))
    else:
        console.print(as_tables(view))


def init(
    card_no: Annotated[str, typer.Argument(help="the card's 20 digits")],
    issuer: Annotated[str, typer.Option(help="the issuer's 8 hex digits")] = "01011000",
    holder_class: Annotated[int, typer.Option("--class", help="1 standard, 2 half fare, 3 free")] = 1,
    algorithm: Annotated[int, typer.Option(help="0 international, 1 national", min=0, max=1)] = 0,
    overdraft_fen: Amount = 0,
    valid_to: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
    reader: Reader = None,
    wait: Wait = 10.0,
) -> None:
    """Personalise the blank chip on a reader, with keys that the HSM wrapped for it."""
    today = now().astimezone(CITY_ZONE).date()
    expires = valid_to.date() if valid_to else today.replace(year=today.year + YEARS_VALID, day=1)
    public = _public(PublicData(issuer, card_no, holder_class, today, expires))
    version, groups = _wrapped_keys(CardKeyRef.of(issuer, card_no, NEWEST, algorithm))
    groups |= {Group.PUBLIC: public,
               Group.REGION: Region().pack(),
               Group.PURSE: overdraft_fen.to_bytes(3, "big") + bytes((version, algorithm))}  # fmt: skip
    with speaking() as pcsc, connected(pcsc, reader, wait) as chip:
        for number, (group, value) in enumerate(groups.items(), 1):
            answer = chip.transmit(blank.store_data(group, value, last=number == len(groups)))
            refused = parse_done("STORE DATA", answer)
            if refused is not None:
                raise Refused(f"{chip.reader}: {refused}; {_remedy(refused)}")
    console.print(
        f"Card {card_no} is personalised under key version {version}, valid to {expires}.", soft_wrap=True
    )


def _public(public: PublicData) -> bytes:
    try:
        return public.pack()
    except FileError as wrong:
        raise Refused(str(wrong)) from wrong


def _remedy(refused: Refusal) -> str:
    if refused.word == StatusWord.MAC_WRONG:
        return "the chip left its factory with another transport key than the HSM's: use one of this HSM's"
    if refused.word in (StatusWord.INSTRUCTION_UNKNOWN, StatusWord.CONDITIONS_NOT_SATISFIED,
                        StatusWord.NOT_IN_THIS_STATE):  # fmt: skip
        return "this chip is somebody's already: put a blank one on the reader"
    return "see that number, issuer and class are right"


def _wrapped_keys(keys: CardKeyRef) -> tuple[int, dict[Group, bytes]]:
    """The version of the city's newest roots, and the card's keys of it, wrapped for its chip."""
    from api.city_doors import city  # a whole city takes long to load, and a reader does not need one

    try:
        with city() as opened:
            made = opened.hsm.card_keys(keys)
            # A card says one version for all its keys.
            its_own = replace(keys, key_version=made.version)
            maintenance = opened.hsm.card_authentication_key(its_own)
            return made.version, {Group.KEYS: made.wrapped, Group.AUTHENTICATION_KEY: maintenance.wrapped}
    except HsmError as error:
        if error.code not in _KEYS_REFUSED:
            raise
        raise Refused(_KEYS_REFUSED[error.code]) from error


_APART = (
    "the newest versions of the cards' roots differ, and a card says one for all its keys: rotate PK, LK, TK and "
    "AK together (PS, LS, TS and AS of the national suite), then run this again"
)
_KEYS_REFUSED = {
    NOT_AUTHORISED: "the HSM gives out card keys in its authorised state only: two operators must authorise "
    "personalisation at the HSM; then run this again",
    KEY_UNKNOWN: _APART,
    VERSION_OLD: _APART,
}


def load_sam(
    terminal: Annotated[str, typer.Argument(help="the terminal's 12 hex digits")],
    components: Annotated[int, typer.Option(help="custodians of the key", min=2, max=9)] = 2,
    algorithm: Annotated[int, typer.Option(help="0 international, 1 national", min=0, max=1)] = 0,
    key_version: Annotated[int, typer.Option(help="version of the purchase root key", min=1, max=255)] = 1,
    reader: Reader = None,
    wait: Wait = 10.0,
) -> None:
    """Load a blank SAM by ceremony: each custodian enters a component, and no one sees the key."""
    number = _hex_of("terminal", terminal, 6)
    with speaking() as pcsc, connected(pcsc, reader, wait) as chip:
        for custodian in range(1, components + 1):
            typed = typer.prompt(f"Custodian {custodian} of {components}, 32 hex digits", hide_input=True)
            component = _hex_of("component", typed, 16, secret=True)
            check = _done(chip, sam.load_component(component, key_version=key_version, algorithm=algorithm))
            console.print(f"Check value of this component: {check.hex().upper()}")
        check = _done(chip, sam.activate(number))
    console.print(f"SAM of terminal {terminal} is in service; check value of its key: {check.hex().upper()}")


def _done(chip: PcscCard, command: bytes) -> bytes:
    answer = Answer.unpack(chip.transmit(command))
    if answer.word != StatusWord.DONE:
        refused = Refusal("LOAD SAM", answer.word)
        raise Refused(f"{chip.reader}: {refused}; a SAM in service takes no keys: put a blank one in")
    return answer.data


def _hex_of(name: str, text: str, width: int, *, secret: bool = False) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != width:
        shown = "what was entered" if secret else repr(text)
        raise Refused(f"{name}: {shown} is not {2 * width} hex digits; enter it again")
    return raw


def virtual(
    card_file: Annotated[
        Path | None, typer.Option("--card", help="the card's memory, made if not there")
    ] = None,
    sam_file: Annotated[
        Path | None, typer.Option("--sam", help="a SAM's memory, for the second slot")
    ] = None,
    transport_key_file: Annotated[
        Path | None,
        typer.Option(help="key that blank chips leave the factory with; default: the simulated HSM's"),
    ] = None,
    t0: Annotated[
        bool, typer.Option("--t0", help="a contact card on T=0, whose answers are fetched")
    ] = False,
    ready_file: Annotated[Path | None, typer.Option(help="file to write the daemon's socket to")] = None,
) -> None:
    """Put a virtual card, and a SAM, into a real reader until Ctrl-C: pcscd of our own, for any PC/SC program."""
    path = card_file or settings().city_home().world / "virtual-card.chip"
    transport_key = _transport_key(transport_key_file)
    with told_to_end() as told, ExitStack() as stack:
        try:
            chip = FileCard(ChipFile(path), transport_key, os.urandom)
            module = None if sam_file is None else file_sam(ChipFile(sam_file))
            reader = stack.enter_context(private_pcscd())
        except (ChipUnreadable, NoPcsc, OSError) as error:
            raise Refused(str(error)) from error
        if t0:
            reader.card.put(T0Card(chip), CONTACT_ATR)
        else:
            reader.card.put(chip)
        if module is not None:
            reader.sam.put(module, CONTACT_ATR)
        console.print(f"Card: {path}   SAM: {sam_file or '–'}   (Ctrl-C ends)", soft_wrap=True)
        console.print(f"export {SOCKET_VARIABLE}={reader.socket_path}", soft_wrap=True, highlight=False)
        if ready_file is not None:
            draft = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
            draft.write_text(f"{reader.socket_path}\n")
            draft.replace(ready_file)
        told.wait()


def _transport_key(file: Path | None) -> bytes:
    path = file or settings().city_home().hsm / "transport.key"
    if file is None and not path.exists() and settings().hsm is None:
        from api.city_doors import city

        with city():
            console.print("The simulated HSM has made its keys.")
    try:
        return _hex_of("transport key", path.read_text().strip(), 16, secret=True)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}; give --transport-key-file") from error


@contextmanager
def speaking() -> Iterator[Pcsc]:
    """Speak with PC/SC; what goes wrong is said in a line."""
    try:
        with Pcsc() as pcsc:
            yield pcsc
    except (PcscError, CardGone, AnswerError) as error:
        raise Refused(str(error)) from error


@contextmanager
def connected(pcsc: Pcsc, reader: str | None, wait_s: float) -> Iterator[PcscCard]:
    """The card on the reader named, or on the first that has one."""
    names = [reader] if reader else pcsc.readers()
    if not names:
        raise Refused("no reader is attached: plug one in, or run `onecard card virtual`")
    with pcsc.connect(pcsc.wait_for_card(names, wait_s)) as chip:
        yield chip
