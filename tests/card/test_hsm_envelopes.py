"""Data keys, terminals' keys and QR signatures through the client, from the real HSM program."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from card.hsm.client import Hsm
from card.hsm.errors import HsmError
from city.processes import RunningHsm

TERMINAL = "T0000001"


@pytest.fixture(scope="module")
def hsm(hsm_process: RunningHsm) -> Iterator[Hsm]:
    with Hsm(hsm_process.host, hsm_process.port) as client:
        yield client


def test_a_data_key_comes_back_from_its_wrapped_form_and_no_two_are_alike(hsm: Hsm) -> None:
    first, second = hsm.new_data_key(), hsm.new_data_key()
    assert len(first.clear) == 32 and len(first.wrapped) == 40
    assert first.clear != second.clear
    assert hsm.open_data_key(first.version, first.wrapped) == first.clear
    with pytest.raises(HsmError) as changed:
        hsm.open_data_key(first.version, bytes(40))
    assert changed.value.code == "01"


def test_the_clear_data_key_does_not_show(hsm: Hsm) -> None:
    key = hsm.new_data_key()
    assert key.clear.hex() not in repr(key) and str(key.clear) not in repr(key)


def test_an_enrolled_terminal_shares_its_working_key_with_us(hsm: Hsm, hsm_process: RunningHsm) -> None:
    transport = bytes.fromhex(hsm_process.transport_key_file.read_text().strip())
    enrolled = hsm.terminal_master_key(TERMINAL)
    working = hsm.terminal_working_key(TERMINAL, enrolled.version)
    clear = aes_key_unwrap(aes_key_unwrap(transport, enrolled.wrapped), working.for_terminal)
    zeros = Cipher(TripleDES(clear + clear[:8]), modes.ECB()).encryptor().update(bytes(8))
    assert zeros[:3] == working.check_value
    # Of one block, the retail MAC is 3DES.
    one = Cipher(TripleDES(clear + clear[:8]), modes.ECB()).encryptor().update(b"0200ABCD")
    assert hsm.terminal_mac(working.block, b"0200ABCD") == one


def test_a_terminals_mac_verifies_over_its_own_message_only(hsm: Hsm) -> None:
    working, other = hsm.terminal_working_key(TERMINAL), hsm.terminal_working_key(TERMINAL)
    mac = hsm.terminal_mac(working.block, b"a message" * 400)
    assert hsm.verify_terminal_mac(working.block, b"a message" * 400, mac)
    assert not hsm.verify_terminal_mac(working.block, b"a massage" * 400, mac)
    assert not hsm.verify_terminal_mac(other.block, b"a message" * 400, mac)
    assert not hsm.verify_terminal_mac(bytes(24), b"a message" * 400, mac)


@pytest.mark.parametrize("message", [b"", bytes(4097)])
def test_a_message_that_no_request_takes_is_refused_before_it_is_sent(hsm: Hsm, message: bytes) -> None:
    with pytest.raises(ValueError, match=f"message has {len(message)} bytes: give 1 to 4096"):
        hsm.terminal_mac(bytes(24), message)
    with pytest.raises(ValueError, match="give 1 to 4096"):
        hsm.sign_message(message)


def test_the_qr_issuers_signature_verifies_under_its_public_key(hsm: Hsm) -> None:
    version, signature = hsm.sign_message(b"a certificate")
    assert hsm.qr_public_key(version) == hsm.qr_public_key()
    Ed25519PublicKey.from_public_bytes(hsm.qr_public_key()[1]).verify(signature, b"a certificate")
    assert hsm.qr_public_key()[1] != hsm.public_key()[1]


def test_a_terminals_name_that_does_not_fit_is_refused_by_its_field(hsm: Hsm) -> None:
    with pytest.raises(ValueError, match="terminal is 'T00000001': give 1 to 8 ASCII characters"):
        hsm.terminal_working_key("T00000001")
