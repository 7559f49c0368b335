"""`onecard ledger prove …`: evidence that others can check, and the checking of everything."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from sqlalchemy import Engine

from api.city_doors import city
from api.doors import Refused, archive, books, console, write_text
from api.ledger_checking import told_finding
from api.listings import Listing, figure
from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from city.home import CITY_ZONE
from ledger.archive import ArchiveDamaged
from ledger.db import reading
from ledger.findings import Finding
from ledger.money import yuan
from ledger.proof_file import ProofFile, ProofFileError, Wrong, check, decode, encode, entry_of, proof_file
from ledger.seal import PublicKey, prove, seals
from ledger.verify import first_changed, stages

NO_SUCH_KEY = "12"

PROOF_SAYS = {
    Wrong.OTHER_KEY: "it is made for another public key than the one given; give that of its key version, got from us",
    Wrong.PLACE_IMPOSSIBLE: "its hashes do not fit its place among the day's entries; ask for the proof again",
    Wrong.NOT_SIGNED: "the signature is not over this entry in this place of this day; do not rely on it",
}


def prove_entry(
    reference: Annotated[str, typer.Argument(metavar="ENTRY", help="reference of the entry, as booked")],
    out: Annotated[Path | None, typer.Option(help="file to write; default: the standard output")] = None,
) -> None:
    """Prove to anyone that an entry is in the books: a file to be checked with the public key alone."""
    with city() as opened:
        with reading(opened.engine) as conn:
            try:
                proof = prove(conn, reference, archive())
            except (LookupError, ArchiveDamaged) as error:
                raise Refused(str(error.args[0])) from error
        _, public_key = opened.hsm.public_key(proof.seal.key_version)
    document = proof_file(proof, public_key)
    wrong = check(document, public_key)
    if wrong is not None:
        raise Refused(f"the books do not prove {reference!r} ({wrong}); run `onecard ledger verify`")
    text = encode(document).decode("ascii")
    if out is None:
        sys.stdout.write(text)
    else:
        write_text(out, text)
        console.print(f"Proof of {reference} written to {out}", soft_wrap=True, highlight=False)


def verify_proof(
    file: Annotated[Path, typer.Argument(help="the proof, as `onecard ledger prove` wrote it")],
    public_key: Annotated[
        str,
        typer.Option(metavar="FILE|HEX", help="the seals' public key, as `onecard ledger public-key` has it"),
    ],
) -> None:
    """Check a proof with nothing but the public key: no database, no HSM."""
    key = read_public_key(public_key)
    try:
        proof = decode(_read_bytes(file))
    except ProofFileError as error:
        raise Refused(str(error)) from error
    wrong = check(proof, key)
    if wrong is not None:
        raise Refused(f"the proof does not hold ({wrong}): {PROOF_SAYS[wrong]}")
    _show(proof)


def public_key(
    version: Annotated[int, typer.Option(help="key version; default: the newest", min=0, max=255)] = 0,
    pem: Annotated[bool, typer.Option("--pem", help="write it as PEM, as OpenSSL reads it")] = False,
) -> None:
    """The public key of the seals, Ed25519: 64 hex digits."""
    with city() as opened:
        _, key = opened.hsm.public_key(version)
    if pem:
        loaded = Ed25519PublicKey.from_public_bytes(key)
        sys.stdout.write(loaded.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii"))
    else:
        sys.stdout.write(f"{key.hex()}\n")


def verify(
    without_hsm: Annotated[bool, typer.Option("--without-hsm", help="do not check the signatures")] = False,
) -> None:
    """Recompute the whole books from their first day; exit 1 and name each row that is not as it was written."""
    if without_hsm:
        with books() as engine:
            findings = _verify(engine, None)
    else:
        with city() as opened:
            findings = _verify(opened.engine, _public_keys(opened.engine, opened.hsm).__getitem__)
    if findings:
        first = first_changed(findings)
        console.print(f"The first row that was changed: {first.message if first else ''}", soft_wrap=True)
        raise Refused(f"findings: {len(findings)}; nothing was changed: find out who wrote past the ledger")
    signatures = "signatures were not checked" if without_hsm else "every signature holds"
    console.print(f"The books are as they were written; {signatures}.")


def read_public_key(given: str) -> bytes:
    """A public key of 32 bytes from 64 hex digits, or from a file of them, or from a PEM file.

    Raises Refused where it is none of these.
    """
    text = given if _is_key(given) else _read_bytes(Path(given)).decode("utf-8", "replace")
    if _is_key(text.strip()):
        return bytes.fromhex(text)
    try:
        loaded = load_pem_public_key(text.encode("utf-8"))
    except ValueError:
        loaded = None
    if not isinstance(loaded, Ed25519PublicKey):
        raise Refused(
            f"--public-key {given} holds no Ed25519 key; give 64 hex digits, or a file of them or of PEM"
        )
    return loaded.public_bytes_raw()


def _is_key(text: str) -> bool:
    return len(text) == 64 and all(digit in "0123456789abcdefABCDEF" for digit in text)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}; give the path of a file") from error


def _show(proof: ProofFile) -> None:
    """Say in a person's words what a proof that holds proves."""
    entry = entry_of(proof)
    local = _local(entry.event_at, CITY_ZONE)
    place = f"entry {proof.index + 1} of {proof.entries} of {proof.business_date}"
    console.print("The proof holds.", style="green")
    console.print(f"{entry.reference} ({entry.kind}), {local}: {place}", highlight=False)
    table = Listing("debit", "credit", "item", figure("yuan"))
    for line in entry.lines:
        table.add(line.debit, line.credit, line.item, yuan(line.amount_fen))
    console.print(table)


def _local(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def _public_keys(engine: Engine, hsm: Hsm) -> dict[int, bytes]:
    """The public keys of the versions that seals name and the HSM has; asked for before the books are read."""
    with reading(engine) as conn:
        versions = {seal.key_version for seal in seals(conn) if 0 < seal.key_version < 256}
    keys = {}
    for version in sorted({*versions, 0}):
        try:
            found, key = hsm.public_key(version)
        except HsmError as error:
            if error.code != NO_SUCH_KEY:
                raise
        else:
            keys[found] = key
    return keys


def _verify(engine: Engine, public_key: PublicKey | None) -> list[Finding]:
    """Run every stage under a bar, and print what is found as it is found."""
    found: list[Finding] = []
    columns = (SpinnerColumn(), TextColumn("{task.description:>26}"), BarColumn(), MofNCompleteColumn())
    with (
        reading(engine) as conn,
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
    ):
        todo = stages(conn, public_key, archive())
        task = progress.add_task("", total=len(todo))
        for stage in todo:
            progress.update(task, description=stage.name)
            for finding in stage.findings(conn):
                found.append(finding)
                console.print(told_finding(finding), soft_wrap=True)
            progress.advance(task)
    return found
