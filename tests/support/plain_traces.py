"""Looking for plain secrets in everything a system kept: whatever form they have, whatever file they are in."""

import io
import re
import subprocess
import zipfile
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import Engine

from city.processes import postgres_binaries

ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be", "unicode_escape")


def forms_of(secret: str | bytes) -> set[bytes]:
    """The bytes by which a secret would show: itself, in hexadecimal, in base64 wherever it begins, in BCD.

    A text counts in every encoding that a file of ours may have, and digits packed two to a byte as well.
    """
    plain = {secret} if isinstance(secret, bytes) else {secret.encode(name) for name in ENCODINGS}
    if isinstance(secret, str):
        plain |= _packed(secret)
    return plain | {shape for one in plain for shape in _shapes(one)}


def traces(places: Iterable[tuple[str, bytes]], secrets: Iterable[str | bytes]) -> list[str]:
    """Where a secret shows, as `place: the secret's number`, so that a failing test repeats none."""
    forms = [forms_of(secret) for secret in secrets]
    return [
        f"{place}: secret {number}"
        for place, content in places
        for number, shapes in enumerate(forms)
        if any(shape in content for shape in shapes)
    ]


def code_traces(places: Iterable[tuple[str, bytes]], codes: Iterable[str]) -> list[str]:
    """Where at least two of some short codes show as numbers of their own: one alone may be an accident."""
    patterns = [re.compile(rb"(?<![0-9A-Fa-f])" + code.encode() + rb"(?![0-9A-Fa-f])") for code in set(codes)]
    return [
        place
        for place, content in places
        if sum(bool(one.search(content)) for one in patterns) >= min(2, len(patterns))
    ]


def kept_in(*folders: Path, but: Iterable[str] = ()) -> Iterator[tuple[str, bytes]]:
    """Every file below the folders, and what is inside those that pack it; files named in `but` are left out."""
    left_out = set(but)
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in left_out:
                yield from _opened(str(path), path.read_bytes())


def database_dump(engine: Engine) -> bytes:
    """What a PostgreSQL database says of itself when it is dumped; nothing for SQLite, whose file is looked at."""
    if engine.dialect.name != "postgresql":
        return b""
    url = engine.url
    words = ("-h", str(url.query["host"]), "-U", str(url.username), str(url.database))
    return subprocess.run([postgres_binaries() / "pg_dump", *words], check=True, capture_output=True).stdout


def _opened(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for member in packed.namelist():
                yield from _opened(f"{name}!{member}", packed.read(member))
    elif content[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(content))
        for column in table.column_names:
            yield f"{name}!{column}", b"\n".join(map(_value, table[column].to_pylist()))


def _value(one: Any) -> bytes:
    return one if isinstance(one, bytes) else str(one).encode()


def _packed(text: str) -> set[bytes]:
    """Digits two to a byte, however they are aligned; the half byte at an end may hold anything."""
    digits = re.sub(r"[^0-9]", "", text)
    if len(digits) < 8 or len(digits) + 1 < len(text):
        return set()
    return {bytes.fromhex(run[: len(run) // 2 * 2]) for run in (digits, digits[1:])}


def _shapes(plain: bytes) -> set[bytes]:
    shapes = {plain.hex().encode(), plain.hex().upper().encode()}
    for lead in range(3):
        # What stands before shifts the groups of three; the group that it shares is left away at either end.
        encoded = b64encode(bytes(lead) + plain).rstrip(b"=")
        whole = encoded[-(-lead * 4 // 3) : len(encoded) - (1 if (lead + len(plain)) % 3 else 0)]
        shapes |= {whole, whole.translate(bytes.maketrans(b"+/", b"-_"))}
    return {shape for shape in shapes if len(shape) >= 6}
