"""The card's cryptography against the worked example and the published vectors."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given
from hypothesis import strategies as st

from card.chip import keys as crypto
from card.chip.keys import INTERNATIONAL, NATIONAL, CardKeys, KeysUnreadable, Order, unwrap_card_keys

H = bytes.fromhex
KEYS = CardKeys(
    purchase=H("506D417DA0B667CDBD34608C7AB842BB"),
    load=H("8F5D7F60313D0C6107078224B313D7CC"),
    tac=H("0143197E328132B9B689A18E825B96EA"),
)
PUBLISHED_KEY = H("11223344556677888877665544332211")
PUBLISHED = CardKeys(PUBLISHED_KEY, PUBLISHED_KEY, PUBLISHED_KEY)
RND = H("11223344")
TERMINAL, MOMENT = H("518000000001"), H("20260131164329")


@dataclass(frozen=True, slots=True)
class Covered:
    """A suite's MAC that notes what it was asked to cover."""

    seen: list[bytes]

    def mac(self, key: bytes, data: bytes) -> bytes:
        self.seen.append(data)
        return INTERNATIONAL.mac(key, data)


def covered_by(made: Callable[[crypto.Suite], bytes]) -> tuple[bytes, bytes]:
    """What a value covers, and the value."""
    spy = Covered([])
    suite = replace(INTERNATIONAL, mac=spy.mac)
    value = made(suite)
    return spy.seen[-1], value


def test_the_session_key_of_the_worked_purchase() -> None:
    key = crypto.purchase_session(
        INTERNATIONAL, KEYS.purchase, rnd=RND, sequence=0x36, terminal_sequence=0x57
    )
    assert key == H("67E90D06FC5F72B3") == INTERNATIONAL.session_key(KEYS.purchase, H("1122334400360057"))


def test_the_session_key_takes_the_right_half_of_the_terminal_sequence() -> None:
    whole, half = (
        crypto.purchase_session(
            INTERNATIONAL, KEYS.purchase, rnd=RND, sequence=0x36, terminal_sequence=number
        )
        for number in (0xABCD0057, 0x57)
    )
    assert whole == half


def test_the_session_key_of_the_worked_load() -> None:
    assert crypto.load_session(INTERNATIONAL, KEYS, rnd=RND, sequence=5) == H("32E80CA31FAAF624")


def test_the_tac_key_folds_both_halves() -> None:
    assert INTERNATIONAL.tac_key(KEYS.tac) == H("B7CAB8F0B0DAA453")
    assert INTERNATIONAL.tac_key(H("112233445566778899AABBCCDDEEFF00")) == H("88" * 8)


@pytest.mark.parametrize(
    ("kind", "mac1", "tac", "blocks"),
    [
        (6, "ECE05309", "CFF2892D", ["4240B27291300A29", "3ECDB463977930EA", "ECE05309B89D3920"]),
        (9, "1831A64D", "800122FC", ["AECF58EFA46BF8B4", "4E43EC590EA12F1B", "1831A64DFAD9F61E"]),
    ],
)
def test_the_worked_purchases_value_by_value(kind: int, mac1: str, tac: str, blocks: list[str]) -> None:
    session, order = H("67E90D06FC5F72B3"), Order(kind, 200, TERMINAL)
    data = H(f"000000C8{kind:02X}51800000000120260131164329")
    assert covered_by(lambda s: crypto.purchase_mac1(s, session, order, MOMENT)) == (data, H(mac1))
    # Every block of the chain is the MAC of a message that ends there, were the padding to fall so.
    padded = data + H("800000000000")
    chained = H("0000000000000000")
    for at, block in enumerate(blocks):
        mixed = bytes(a ^ b for a, b in zip(chained, padded[8 * at : 8 * at + 8], strict=True))
        chained = INTERNATIONAL.session_key(session + session, mixed)
        assert chained == H(block)
    assert covered_by(lambda s: crypto.purchase_mac2(s, session, 200)) == (H("000000C8"), H("512929DF"))
    assert covered_by(
        lambda s: crypto.purchase_tac(s, KEYS, order, terminal_sequence=0x57, moment=MOMENT)
    ) == (H(f"000000C8{kind:02X}5180000000010000005720260131164329"), H(tac))


def test_the_worked_load_value_by_value() -> None:
    session, order = H("32E80CA31FAAF624"), Order(2, 200, TERMINAL)
    assert covered_by(lambda s: crypto.load_mac1(s, session, order, balance_fen=10_000)) == (
        H("00002710000000C802518000000001"),
        H("59B8C4F0"),
    )
    assert covered_by(lambda s: crypto.load_mac2(s, session, order, MOMENT)) == (
        H("000000C80251800000000120260131164329"),
        H("9A4E8EB6"),
    )
    assert covered_by(
        lambda s: crypto.load_tac(s, KEYS, order, new_balance_fen=10_200, sequence=5, moment=MOMENT)
    ) == (H("000027D80005000000C80251800000000120260131164329"), H("877B3221"))


def test_the_published_load_vectors() -> None:
    session = crypto.load_session(INTERNATIONAL, PUBLISHED, rnd=RND, sequence=0)
    order = Order(1, 0x1000, H("001122334455"))
    assert session == H("9B1D924E05595603")
    assert crypto.load_mac1(INTERNATIONAL, session, order, balance_fen=0) == H("2988AE5A")
    assert crypto.load_mac2(INTERNATIONAL, session, order, H("20111221214822")) == H("3A845BF0")


def test_the_published_purchase_vectors() -> None:
    session = crypto.purchase_session(
        INTERNATIONAL, PUBLISHED.purchase, rnd=RND, sequence=0, terminal_sequence=1
    )
    order = Order(6, 0x1000, H("001122334455"))
    assert session == H("003238ABC57659DD")
    assert crypto.purchase_mac1(INTERNATIONAL, session, order, H("20120229135100")) == H("F15CAB75")
    assert crypto.purchase_mac2(INTERNATIONAL, session, 0x1000) == H("56988A13")


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8), st.binary(max_size=60))
def test_the_national_suite_agrees_with_a_block_by_block_reference(
    key: bytes, seed: bytes, data: bytes
) -> None:
    def block(raw: bytes) -> bytes:
        return Cipher(SM4(key), modes.ECB()).encryptor().update(raw)

    chained, padded = bytes(16), data + b"\x80"
    padded += bytes(-len(padded) % 16)
    for at in range(0, len(padded), 16):
        chained = block(bytes(a ^ b for a, b in zip(chained, padded[at : at + 16], strict=True)))
    assert NATIONAL.mac(key, data) == chained[:4]
    assert NATIONAL.session_key(key, seed) == block(seed + bytes(255 - byte for byte in seed))
    assert NATIONAL.tac_key(key) == key


def test_wrapped_keys_open_under_the_right_transport_key_only() -> None:
    transport = bytes(range(16))
    wrapped = aes_key_wrap(transport, KEYS.purchase + KEYS.load + KEYS.tac)
    assert unwrap_card_keys(wrapped, transport) == KEYS
    with pytest.raises(KeysUnreadable, match="transport key"):
        unwrap_card_keys(wrapped, bytes(16))
    with pytest.raises(KeysUnreadable, match="55 bytes"):
        unwrap_card_keys(wrapped[:-1], transport)


def test_keys_do_not_show_in_their_repr() -> None:
    assert repr(KEYS) == "CardKeys()"


def test_a_key_of_another_length_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="16 bytes") as refused:
        CardKeys(KEYS.purchase, KEYS.load, KEYS.tac[:8])
    assert KEYS.load.hex() not in str(refused.value)
