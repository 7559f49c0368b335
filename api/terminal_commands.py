"""`onecard terminals`: what terminals are to obey, signed by the HSM and published for their depots."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.city_doors import city
from api.doors import Refused, console, fail, now
from card.algorithms import Algorithm
from card.hotlist import hotlisted
from card.hsm.errors import HsmError
from clearing.publication import keys_of, publish_document, publish_hotlist, signer_of
from clearing.wire.hotlist import numbers_of
from clearing.wire.signed import Kind, SignedError
from clearing.wire.strict import FieldError
from clearing.wire.tariff import parse_tariff
from ledger.db import reading
from terminals.settings import parse_settings


class DocumentKind(StrEnum):
    """Texts that can be published."""

    TARIFF = "tariff"
    SETTINGS = "settings"


class Signing(StrEnum):
    """The algorithms by which files for terminals are signed."""

    ED25519 = "ed25519"
    SM2 = "sm2"

    @property
    def of_key(self) -> Algorithm:
        """The HSM's name of it."""
        return Algorithm[self.name]


SignedBy = Annotated[
    Signing, typer.Option(help="how to sign: sm2 (with SM3) in a city of the national suite")
]


def hotlist_command(algorithm: SignedBy = Signing.ED25519) -> None:
    """Publish the hotlist of the books, whole and as the change from the last; nothing where it is the same."""
    try:
        with city() as opened:
            with reading(opened.engine) as conn:
                numbers = numbers_of(entry.card_no for entry in hotlisted(conn))
            written = publish_hotlist(
                opened.home.published, numbers, signer_of(opened.hsm, algorithm.of_key), at=now()
            )
    except (Refused, SignedError, HsmError) as error:
        raise fail(error) from error
    console.print(f"{len(numbers)} cards are listed")
    _tell(written)


def publish_command(
    kind: Annotated[DocumentKind, typer.Argument(help="what the file is")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="the JSON file")],
    algorithm: SignedBy = Signing.ED25519,
) -> None:
    """Publish a tariff or settings, read as strictly as the terminals will read them."""
    try:
        text = file.read_text(encoding="utf-8")
        version = (parse_tariff if kind is DocumentKind.TARIFF else parse_settings)(text).version
        with city() as opened:
            signer = signer_of(opened.hsm, algorithm.of_key)
            written = publish_document(
                opened.home.published, Kind[kind.name], version, text, signer, at=now()
            )
    except (Refused, FieldError, SignedError, HsmError, UnicodeDecodeError) as error:
        raise fail(error) from error
    _tell([written])


def keys_command() -> None:
    """Print the public keys that terminals have to trust, by algorithm and version, as JSON."""
    shown: dict[str, dict[int, str]] = {one.value: {} for one in Signing}
    try:
        with city() as opened:
            keys = keys_of(opened.hsm, *(one.of_key for one in Signing))
    except (Refused, HsmError) as error:
        raise fail(error) from error
    for (algorithm, version), key in keys.items():
        shown[algorithm.name.lower()][version] = key.hex()
    console.print_json(json.dumps(shown))


def _tell(written: list[Path]) -> None:
    for path in written:
        console.print(f"published {path}", soft_wrap=True, highlight=False)
    if not written:
        console.print("nothing has changed since the last publication")
