"""The client against the real HSM program over a real socket."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from hypothesis import given
from hypothesis import strategies as st

from card.algorithms import Algorithm
from card.chip import commands as cmd
from card.chip import keys as crypto
from card.chip.applet import VirtualCard
from card.chip.commands import LoadOffer, Proof, PurchaseOffer
from card.chip.files import PublicData
from card.chip.keys import INTERNATIONAL, NATIONAL, CardKeys, Order, Suite, unwrap_card_keys
from card.chip.records import Kind
from card.chip.state import new_state
from card.hsm.client import Hsm
from card.hsm.codec import CardKeyRef
from card.hsm.columns import TacColumns
from card.hsm.errors import HsmError
from card.signatures import verify
from city.processes import RunningHsm, running_hsm

H = bytes.fromhex
KEYS = CardKeyRef.of("01011000", "03104870000000001234", 1)
CARD_KEYS = CardKeys(
    purchase=H("506D417DA0B667CDBD34608C7AB842BB"),
    load=H("8F5D7F60313D0C6107078224B313D7CC"),
    tac=H("0143197E328132B9B689A18E825B96EA"),
)
RND, TERMINAL, MOMENT = H("11223344"), H("518000000001"), H("20260131164329")
DIGEST = bytes(range(32))


@pytest.fixture(scope="module")
def hsm(hsm_process: RunningHsm) -> Iterator[Hsm]:
    with Hsm(hsm_process.host, hsm_process.port) as client:
        yield client


@pytest.fixture(scope="module")
def transport_key(hsm_process: RunningHsm) -> bytes:
    return H(hsm_process.transport_key_file.read_text().strip())


def mac1(hsm: Hsm, keys: CardKeyRef = KEYS, kind: int = 6) -> bytes:
    return hsm.purchase_mac1(
        keys,
        rnd=RND,
        counter=0x36,
        amount_fen=200,
        kind=kind,
        terminal=TERMINAL,
        moment=MOMENT,
        terminal_sequence=0x57,
    )


def test_the_hsm_says_that_it_is_a_simulator_with_demo_keys(hsm: Hsm) -> None:
    who = hsm.diagnostics()
    assert who.simulator and who.demo_keys
    assert who.text.startswith("SIMULATOR hsm-sim ")
    assert len(H(who.lmk_check)) == 8


def test_the_worked_purchases_macs_and_tacs(hsm: Hsm) -> None:
    def mac2_ok(mac2: str) -> bool:
        return hsm.verify_purchase_mac2(
            KEYS, rnd=RND, counter=0x36, terminal_sequence=0x57, amount_fen=200, mac2=H(mac2)
        )

    def tac_ok(kind: int, tac: str) -> bool:
        return hsm.verify_purchase_tac(
            KEYS,
            amount_fen=200,
            kind=kind,
            terminal=TERMINAL,
            terminal_sequence=0x57,
            moment=MOMENT,
            tac=H(tac),
        )

    assert mac1(hsm, kind=6) == H("ECE05309")
    assert mac1(hsm, kind=9) == H("1831A64D")
    assert mac2_ok("512929DF") and not mac2_ok("512929DE")
    assert tac_ok(6, "CFF2892D") and not tac_ok(9, "CFF2892D")
    assert tac_ok(9, "800122FC")


def test_the_worked_loads_macs_and_tac(hsm: Hsm) -> None:
    def mac2(given: str) -> bytes | None:
        return hsm.authorise_load(
            KEYS,
            rnd=RND,
            counter=5,
            balance_fen=10_000,
            amount_fen=200,
            kind=2,
            terminal=TERMINAL,
            moment=MOMENT,
            mac1=H(given),
        )

    def tac_ok(new_balance_fen: int) -> bool:
        return hsm.verify_load_tac(
            KEYS,
            new_balance_fen=new_balance_fen,
            counter=5,
            amount_fen=200,
            kind=2,
            terminal=TERMINAL,
            moment=MOMENT,
            tac=H("877B3221"),
        )

    assert mac2("59B8C4F0") == H("9A4E8EB6")
    assert mac2("59B8C4F1") is None
    assert tac_ok(10_200) and not tac_ok(10_201)


def load_at_the_office(hsm: Hsm, ref: CardKeyRef, card: VirtualCard, amount_fen: int) -> bool:
    """Load for real; whether the card's TAC verifies."""
    offer = cmd.parse_init_load(card.transmit(cmd.init_load(amount_fen, TERMINAL)))
    assert isinstance(offer, LoadOffer)
    mac2 = hsm.authorise_load(
        ref,
        rnd=offer.rnd,
        counter=offer.sequence,
        balance_fen=offer.balance_fen,
        amount_fen=amount_fen,
        kind=Kind.LOAD,
        terminal=TERMINAL,
        moment=MOMENT,
        mac1=offer.mac1,
    )
    assert mac2 is not None
    tac = cmd.parse_credit(card.transmit(cmd.credit_load(MOMENT, mac2)))
    assert isinstance(tac, bytes)
    return hsm.verify_load_tac(
        ref,
        new_balance_fen=offer.balance_fen + amount_fen,
        counter=offer.sequence,
        amount_fen=amount_fen,
        kind=Kind.LOAD,
        terminal=TERMINAL,
        moment=MOMENT,
        tac=tac,
    )


def buy_at_a_gate(hsm: Hsm, ref: CardKeyRef, card: VirtualCard, amount_fen: int, sequence: int) -> list[bool]:
    """Buy for real; whether the card's MAC2 and its TAC verify."""
    offer = cmd.parse_init_purchase(card.transmit(cmd.init_capp_purchase(amount_fen, TERMINAL)))
    assert isinstance(offer, PurchaseOffer)
    seal = hsm.purchase_mac1(
        ref,
        rnd=offer.rnd,
        counter=offer.sequence,
        amount_fen=amount_fen,
        kind=Kind.CAPP_PURCHASE,
        terminal=TERMINAL,
        moment=MOMENT,
        terminal_sequence=sequence,
    )
    proof = cmd.parse_debit(card.transmit(cmd.debit(sequence, MOMENT, seal)))
    assert isinstance(proof, Proof)
    mac2_ok = hsm.verify_purchase_mac2(
        ref,
        rnd=offer.rnd,
        counter=offer.sequence,
        terminal_sequence=sequence,
        amount_fen=amount_fen,
        mac2=proof.mac2,
    )
    tac_ok = hsm.verify_purchase_tac(
        ref,
        amount_fen=amount_fen,
        kind=Kind.CAPP_PURCHASE,
        terminal=TERMINAL,
        terminal_sequence=sequence,
        moment=MOMENT,
        tac=proof.tac,
    )
    return [mac2_ok, tac_ok]


@pytest.mark.parametrize("suite", [INTERNATIONAL, NATIONAL])
def test_a_card_personalised_by_the_hsm_buys_and_loads_with_it(
    hsm: Hsm, transport_key: bytes, suite: Suite
) -> None:
    """Nothing but the wire between the two: keys come wrapped, MACs go both ways, TACs verify."""
    public = PublicData("01011000", "03104870000000005678", 2, date(2026, 1, 1), date(2036, 12, 31))
    ref = CardKeyRef.of(public.issuer, public.card_no, 1, algorithm=suite.algorithm)
    keys = unwrap_card_keys(hsm.card_keys(ref).wrapped, transport_key)
    state = new_state(public, key_version=1, balance_fen=500, algorithm=suite.algorithm)
    card = VirtualCard(state, keys, lambda count: RND[:count])
    card.transmit(cmd.select())
    assert load_at_the_office(hsm, ref, card, 5_000)
    assert buy_at_a_gate(hsm, ref, card, 190, sequence=0x10057) == [True, True]
    assert buy_at_a_gate(hsm, ref, card, 0, sequence=0x10058) == [True, True]
    assert card.state.purse.balance_fen == 5_310


def test_the_worked_cards_keys_come_wrapped_with_check_values(hsm: Hsm, transport_key: bytes) -> None:
    wrapped = hsm.card_keys(KEYS)
    assert unwrap_card_keys(wrapped.wrapped, transport_key) == CARD_KEYS
    own = (CARD_KEYS.purchase, CARD_KEYS.load, CARD_KEYS.tac)
    assert wrapped.check_values == tuple(INTERNATIONAL.session_key(key, bytes(8))[:3] for key in own)


@pytest.mark.parametrize("suite", [INTERNATIONAL, NATIONAL])
def test_a_card_that_holds_its_authentication_key_expects_the_cryptogram(
    hsm: Hsm, transport_key: bytes, suite: Suite
) -> None:
    ref, challenge = replace(KEYS, algorithm=suite.algorithm), bytes(range(8))
    key = aes_key_unwrap(transport_key, hsm.card_authentication_key(ref).wrapped)
    assert hsm.authentication_cryptogram(ref, challenge) == suite.session_key(key, challenge)[:8]
    assert hsm.authentication_cryptogram(replace(ref, card=bytes(8)), challenge) != suite.session_key(
        key, challenge
    )


def tac_columns(rows: int, wrong: set[int]) -> TacColumns:
    """Purchases of the worked card with amounts of their own, some with a TAC that is off by a bit."""
    amounts = np.arange(rows, dtype=">u4").reshape(rows, 1).view(np.uint8)
    tacs = [
        crypto.purchase_tac(
            INTERNATIONAL, CARD_KEYS, Order(9, amount, TERMINAL), terminal_sequence=amount * 3, moment=MOMENT
        )
        for amount in range(rows)
    ]
    tac = np.frombuffer(b"".join(tacs), np.uint8).reshape(rows, 4).copy()
    tac[sorted(wrong), 3] ^= 1

    def same(text: str) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        return np.tile(np.frombuffer(H(text), np.uint8), (rows, 1))

    sequences = (np.arange(rows, dtype=np.uint32) * 3).astype(">u4").reshape(rows, 1).view(np.uint8)
    return TacColumns(
        version=same("01"),
        algorithm=same("00"),
        issuer=same("01011000FFFFFFFF"),
        card=same("4870000000001234"),
        amount=amounts,
        kind=same("09"),
        terminal=same("518000000001"),
        terminal_sequence=sequences,
        date=same("20260131"),
        time=same("164329"),
        tac=tac,
    )


@pytest.mark.parametrize(("rows", "chunk"), [(0, 10), (1, 10), (10, 10), (11, 10), (99, 10), (1_000, 50_000)])
def test_bulk_verdicts_come_row_by_row_whatever_the_chunks(hsm: Hsm, rows: int, chunk: int) -> None:
    wrong = {row for row in range(rows) if row % 7 == 3}
    verdicts = hsm.verify_tacs(tac_columns(rows, wrong), chunk_rows=chunk)
    assert verdicts.dtype == np.bool_
    assert {row for row in range(rows) if not verdicts[row]} == wrong


def test_an_unknown_version_or_algorithm_in_bulk_is_a_wrong_row_and_no_error(hsm: Hsm) -> None:
    columns = tac_columns(4, set())
    version, algorithm = columns.version.copy(), columns.algorithm.copy()
    version[1], algorithm[2] = 99, 2
    assert hsm.verify_tacs(replace(columns, version=version, algorithm=algorithm)).tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_batch_macs_belong_to_an_operator_and_a_digest(hsm: Hsm) -> None:
    mac = hsm.batch_mac("METRO-1", DIGEST, key_version=1)
    assert len(mac) == 16
    assert mac == hsm.batch_mac("METRO-1", DIGEST)
    assert hsm.verify_batch_mac("METRO-1", DIGEST, mac, 1)
    assert not hsm.verify_batch_mac("METRO-2", DIGEST, mac, 1)
    assert not hsm.verify_batch_mac("METRO-1", DIGEST[::-1], mac, 1)


def test_a_signature_verifies_under_the_public_key(hsm: Hsm) -> None:
    version, signature = hsm.sign(DIGEST)
    known_version, public_key = hsm.public_key(version)
    assert known_version == version == hsm.public_key()[0]
    Ed25519PublicKey.from_public_bytes(public_key).verify(signature, DIGEST)
    assert len(signature) == 64


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_signature_by_any_algorithm_verifies_over_its_message_only(hsm: Hsm, algorithm: Algorithm) -> None:
    version, signature = hsm.sign_by(algorithm, b"tariff 8")
    known_version, public_key = hsm.public_key_by(algorithm, version)
    assert known_version == version == 1
    assert verify(algorithm, public_key, b"tariff 8", signature)
    assert not verify(algorithm, public_key, b"tariff 9", signature)


@pytest.mark.parametrize("size", [0, 1, 1_000, 0xFFFF])
def test_echo_returns_what_was_sent_in_short_frames_and_long(hsm: Hsm, size: int) -> None:
    data = bytes(at % 251 for at in range(size))
    assert hsm.echo(data) == data


@pytest.mark.parametrize("count", [1, 256])
def test_random_bytes_come_as_many_as_asked(hsm: Hsm, count: int) -> None:
    assert len(hsm.random(count)) == count


def test_random_bytes_differ_from_call_to_call(hsm: Hsm) -> None:
    assert hsm.random(16) != hsm.random(16)


@given(st.sampled_from([0, 257, -1]))
def test_more_random_bytes_than_a_command_gives_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 256"):
        Hsm("127.0.0.1", 1).random(count)


def test_the_hsms_own_refusals_carry_their_code_and_leave_the_client_usable(hsm: Hsm) -> None:
    with pytest.raises(HsmError) as unknown_key:
        mac1(hsm, replace(KEYS, key_version=99))
    with pytest.raises(HsmError) as unsupported:
        mac1(hsm, replace(KEYS, algorithm=2))
    assert (unknown_key.value.code, unsupported.value.code) == ("12", "26")
    assert "E0" in str(unknown_key.value)
    assert mac1(hsm) == H("ECE05309")


def test_many_threads_share_a_client_and_each_gets_its_own_answer(hsm: Hsm) -> None:
    def echoed(number: int) -> bool:
        data = number.to_bytes(2, "big") * (number % 50)
        return hsm.echo(data) == data

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(echoed, range(600)))


@contextmanager
def hsm_on(home: Path, port: int) -> Iterator[None]:
    """The HSM of `home` again, on a port of our choosing."""
    port_file = home / "again"
    words: list[str | Path] = [
        sys.executable,
        "-m",
        "hsm_sim",
        "serve",
        "--home",
        home,
        "--port",
        str(port),
        "--port-file",
        port_file,
    ]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(1_000):
                if port_file.exists():
                    break
                sleep(0.01)
            yield
        finally:
            process.terminate()


def test_a_client_outlives_a_restart_of_its_hsm(tmp_path: Path) -> None:
    with running_hsm(tmp_path) as first:
        client = Hsm(first.host, first.port, timeout_s=5)
        assert mac1(client) == H("ECE05309")
    with pytest.raises(HsmError) as gone:
        mac1(client)
    assert gone.value.code == "unreachable"
    assert str(first.port) in str(gone.value)
    with client, hsm_on(tmp_path, first.port):
        assert mac1(client) == H("ECE05309")


def test_a_closed_client_says_so(hsm_process: RunningHsm) -> None:
    with Hsm(hsm_process.host, hsm_process.port) as client:
        client.random(1)
    with pytest.raises(HsmError, match="closed"):
        client.random(1)
