"""A family's day and its night, and then every byte that was kept or printed: no person, code or key is in it."""

import secrets
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sqlalchemy import select
from xlsxwriter import Workbook

from api.demo_story import tell
from api.family_day import IDENTITY_NOS, NAMES, family_cards, live_family
from api.family_rides import cleared_rides
from card.tables import data_key
from city.agent import AGENT
from city.banking import settle_at_bank
from city.day import Mischief, plan_day
from city.demo import DEMO_DATE, clear_day, live_day, moment
from city.family import PHONE
from city.plan import read_plan
from city.processes import RunningHsm
from city.sectors import GAS
from city.world import City
from ledger.db import reading
from settlement.night import unobserved
from tests.support.plain_traces import code_traces, database_dump, forms_of, kept_in, traces

DEMO_KEYS = (
    "0123456789ABCDEFFEDCBA9876543210", "11223344556677888877665544332211", "00112233445566778899AABBCCDDEEFF",
    b"DEMO BATCH KEY 1".hex(), b"DEMO SIGNATURE KEY NUMBER ONE 01".hex(), b"DEMO KEY OF DATA KEYS NUMBER 001".hex(),
    "0123456789ABCDEFFEDCBA9876543211", "11223344556677888877665544332212", "00112233445566778899AABBCCDDEEF0",
    "1032547698BADCFEEFCDAB8967452301", "1032547698BADCFEEFCDAB8967452302",
    b"DEMO P-256 SIGNATURE KEY NUMBER1".hex(), b"DEMO SM2 SIGNATURE KEY NUMBER 01".hex(),
    b"DEMO TERMINALS 1".hex(), b"DEMO WORKING K 1".hex(), b"DEMO QR ISSUER KEY NUMBER ONE 01".hex(),
)  # fmt: skip
"""The HSM's keys, which only its sealed file may hold; the transport key has a file of its own by intent."""
KEY_FILES = ("lmk.key", "transport.key")


def data_keys(city: City) -> list[bytes]:
    """The keys under which persons are sealed, as only a running program has them."""
    columns = data_key.c
    with reading(city.engine) as conn:
        rows = list(conn.execute(select(columns.key_version, columns.wrapped)))
    return [city.hsm.open_data_key(version, wrapped) for version, wrapped in rows]


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every password that the day gives to an institution's program, written down as it is made."""
    made: list[str] = []
    draw = secrets.token_urlsafe

    def noted(count: int | None = None) -> str:
        made.append(draw(count))
        return made[-1]

    monkeypatch.setattr(secrets, "token_urlsafe", noted)
    return made


def test_no_person_code_password_or_key_is_in_anything_kept_or_printed(
    city: City, hsm_process: RunningHsm, passwords: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    plan = plan_day(read_plan("demo"), DEMO_DATE, riders=8, mischief=tuple(Mischief), seed=2)
    lived = live_day(city, plan, progress=lambda *_: None)
    with live_family(city, lived) as family:
        day = clear_day(city, family.lived, peers=family.peers, progress=lambda *_: None, observe=unobserved)
    events = [*family.events, *cleared_rides(city.engine, family_cards(family.lived))]
    story = Console(record=True, width=200, file=(city.home.root / "story.txt").open("w", encoding="utf-8"))
    paid_in = {f"agent-pays:{AGENT}:{DEMO_DATE}": family.lived.loaded_fen}
    banked = settle_at_bank(city, moment(DEMO_DATE, 12), paid_in, reject=GAS)
    tell(story, day, events, banked, city.home.night(DEMO_DATE), city.home.root)
    codes = [event.said[-6:] for event in events if "one-time code" in event.said]
    printed = "".join(capfd.readouterr()).encode()
    lmk = bytes.fromhex((hsm_process.home / "lmk.key").read_text())
    secret: list[str | bytes] = [
        *IDENTITY_NOS, *NAMES, PHONE, *passwords, lmk, *data_keys(city), *map(bytes.fromhex, DEMO_KEYS)
    ]  # fmt: skip
    assert len(codes) == 3 and len(passwords) >= 7 and len(secret) > 20

    # The database file of either kind lies beside the city's home.
    everything = [
        *kept_in(city.home.root.parent, hsm_process.home, but=KEY_FILES),
        ("the database", database_dump(city.engine)),
        ("what processes printed", printed),
    ]
    whole = b"".join(
        content for place, content in everything if "onecard.db" in place or place == "the database"
    )
    assert whole.count(b"wallet:H") > 2, "the books are among what is looked at"
    names = {Path(place).suffix for place, _ in everything}
    assert {
        ".db",
        ".log",
        ".csv",
        ".xlsx",
        ".xml",
        ".json",
        ".ocb",
        ".oqb",
        ".ack",
        ".parquet!card_tail",
    } <= names
    assert b"530102********0028" in dict(everything)[str(city.home.root / "story.txt")]
    assert traces(everything, secret) == []
    # The demonstration's own story shows the codes, for it is the phone; nothing else does.
    assert code_traces((one for one in everything if not one[0].endswith("story.txt")), codes) == []
    assert [place for place, content in everything if b"ocs_" in content or b"oci_" in content] == []


SECRET = "530102199001010028"


@pytest.mark.parametrize(
    "secret", [SECRET, "13800138000", "53010219900101002X", "李示范", bytes(range(200, 232))]
)
@given(before=st.binary(max_size=8), after=st.binary(max_size=8))
def test_a_secret_is_found_however_it_is_written(secret: str | bytes, before: bytes, after: bytes) -> None:
    plain = secret if isinstance(secret, bytes) else secret.encode()
    written = [plain, plain.hex().encode(), plain.hex().upper().encode()]
    written += [b64encode(before + plain + after), urlsafe_b64encode(before + plain + after)]
    if isinstance(secret, str):
        written += [secret.encode("gb18030"), secret.encode("utf-16-le")]
        if secret.isdecimal():
            even = secret if len(secret) % 2 == 0 else f"{secret}F"
            written += [bytes.fromhex(even), bytes.fromhex(f"0{even}F")]
    for one in written:
        assert traces([("file", before + one + after)], [secret]) == ["file: secret 0"]
    assert not any(shape in b"nothing of the kind" for shape in forms_of(secret))


def test_a_secret_is_found_inside_packed_files(tmp_path: Path) -> None:
    with Workbook(tmp_path / "sheet.xlsx") as book:
        book.add_worksheet().write_string(0, 0, SECRET)
    packed = pa.table(
        {"said": pa.array([SECRET] * 9).dictionary_encode(), "raw": [bytes.fromhex(SECRET)] * 9}
    )
    pq.write_table(packed, tmp_path / "work.parquet", compression="zstd")
    places = {line.split("!")[-1] for line in traces(kept_in(tmp_path), [SECRET]) if "!" in line}
    assert places == {"xl/sharedStrings.xml: secret 0", "said: secret 0", "raw: secret 0"}


def test_codes_are_told_from_accidents_of_digits() -> None:
    codes = ("305910", "654142", "343281")
    assert code_traces([("log", b"sent 305910, then 654142")], codes) == ["log"]
    assert code_traces([("sum", b"305910"), ("hash", b"a305910f 06541427 6541421")], codes) == []
