"""Proofs and verification on the command line, with a real HSM, on both kinds of database."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from card.hsm.client import Hsm
from ledger.db import writing
from tests.ledger.sealed_books import FIRST, PUBLIC_KEY, book, load, open_books, ride, seal_day, sign
from tests.ledger.some_books import unguard
from tests.support.ledger_cli import LedgerCli, ledger_cli

BATCH = "batch:METRO-1:7"


@pytest.fixture
def cli(engine: Engine, tmp_path: Path, database_url: str, hsm_address: str) -> Iterator[LedgerCli]:
    """Commands on books with a day of three entries."""
    open_books(engine)
    book(engine, load(FIRST, "1", 5000), load(FIRST, "2", 3000))
    book(engine, ride(FIRST, BATCH, ("1", 205), ("2", 315)))
    with ledger_cli(tmp_path / "var", database_url, hsm_address) as commands:
        yield commands


def tamper(engine: Engine, statement: str) -> None:
    with writing(engine) as conn:
        unguard(conn)
        conn.execute(text(statement))


def test_a_proof_goes_from_the_books_to_whoever_has_the_public_key(
    cli: LedgerCli, engine: Engine, city_hsm: Hsm, tmp_path: Path
) -> None:
    seal_day(engine, FIRST, city_hsm.sign)
    file, pem = tmp_path / "proof.json", tmp_path / "key.pem"
    assert f"Proof of {BATCH} written to {file}" in cli("prove", BATCH, "--out", file).text
    assert cli("prove", BATCH).output == file.read_text()
    key = cli("public-key").output
    assert bytes.fromhex(key) == city_hsm.public_key()[1]
    pem.write_text(cli("public-key", "--pem").output)
    (tmp_path / "key.hex").write_text(key)
    for given in (key.strip(), pem, tmp_path / "key.hex"):
        told = cli("verify-proof", file, "--public-key", given)
        assert "The proof holds." in told.text
        assert f"{BATCH} (ride), 2018-09-01 13:04:05: entry 3 of 3 of 2018-09-01" in told.text
        assert "purse:2" in told.text and "3.15" in told.text


def test_a_proof_is_checked_without_books_and_without_an_hsm(
    cli: LedgerCli, engine: Engine, city_hsm: Hsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal_day(engine, FIRST, city_hsm.sign)
    file = tmp_path / "proof.json"
    cli("prove", BATCH, "--out", file)
    monkeypatch.setenv("ONECARD_DATABASE", "postgresql+psycopg://nobody@/nothing?host=/nowhere")
    monkeypatch.setenv("ONECARD_HSM", "127.0.0.1:1")
    monkeypatch.setenv("ONECARD_HOME", str(tmp_path / "elsewhere"))
    assert (
        "The proof holds." in cli("verify-proof", file, "--public-key", city_hsm.public_key()[1].hex()).text
    )
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("prove", "nothing"), "no entry 'nothing' is in the books; check the reference"),
        (("prove", BATCH), "is not sealed yet; ask after its night"),
        (("verify-proof", "nowhere.json", "--public-key", PUBLIC_KEY.hex()), "nowhere.json cannot be read"),
        (("verify-proof", __file__, "--public-key", PUBLIC_KEY.hex()), "file of the proof is b"),
        (("verify-proof", __file__, "--public-key", __file__), "holds no Ed25519 key; give 64 hex digits"),
        (("verify-proof", __file__, "--public-key", "abc"), "abc cannot be read"),
    ],
)
def test_what_cannot_be_proved_or_checked_is_said_with_a_remedy(
    cli: LedgerCli, words: tuple[str, ...], said: str
) -> None:
    assert said in cli(*words).refused


def test_a_proof_under_another_key_or_changed_is_refused(
    cli: LedgerCli, engine: Engine, city_hsm: Hsm, tmp_path: Path
) -> None:
    seal_day(engine, FIRST, city_hsm.sign)
    file = tmp_path / "proof.json"
    cli("prove", BATCH, "--out", file)
    assert "(other_key)" in cli("verify-proof", file, "--public-key", PUBLIC_KEY.hex()).refused
    file.write_text(file.read_text().replace('"index": 2', '"index": 1'))
    key = city_hsm.public_key()[1].hex()
    assert "the proof does not hold" in cli("verify-proof", file, "--public-key", key).refused


def test_sound_books_are_verified_with_their_signatures(
    cli: LedgerCli, engine: Engine, city_hsm: Hsm
) -> None:
    seal_day(engine, FIRST, city_hsm.sign)
    assert cli("verify").text.strip() == "The books are as they were written; every signature holds."
    assert "signatures were not checked" in cli("verify", "--without-hsm").text


def test_verification_names_the_first_row_that_was_changed(
    cli: LedgerCli, engine: Engine, city_hsm: Hsm
) -> None:
    seal_day(engine, FIRST, city_hsm.sign)
    tamper(engine, "UPDATE ledger_line SET amount_fen = amount_fen + 1 WHERE item = '2'")
    told = cli("verify")
    assert "totals_equal_lines purse:2" in told.text
    assert "The first row that was changed: entry 'load:2' was changed after it was booked" in told.text
    assert "nothing was changed: find out who wrote past the ledger" in told.refused


@pytest.mark.parametrize("version", [1, 200, 100_000])
def test_a_seal_that_the_hsm_did_not_sign_is_found(
    cli: LedgerCli, engine: Engine, city_hsm: Hsm, version: int
) -> None:
    seal_day(engine, FIRST, lambda root: (version, sign(root)[1]))
    assert "signatures were not checked" in cli("verify", "--without-hsm").text
    told = cli("verify")
    assert f"the seal of 2018-09-01 is not signed by key version {version}" in told.text
    assert "findings: 1;" in told.refused


def test_openssl_agrees_with_the_last_step_of_the_check(
    cli: LedgerCli, engine: Engine, city_hsm: Hsm, tmp_path: Path
) -> None:
    seal = seal_day(engine, FIRST, city_hsm.sign)
    for name, content in (("root.bin", seal.root), ("signature.bin", seal.signature)):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "key.pem").write_text(cli("public-key", "--pem").output)
    words = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in root.bin -sigfile signature.bin"
    done = subprocess.run(words.split(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in done.stdout
