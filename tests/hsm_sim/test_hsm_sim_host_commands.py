"""The public host commands: keys made, moved, checked and used, and each refusal by its code."""

import os

import psec
import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from hsm_sim.host_blocks import KINDS
from hsm_sim.key_blocks import Header, Protection
from hsm_sim.terminal_keys import odd_parity
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hsm_sim.host_peer import LMK, ZMK, ZMK_KEY, ask, block, code, cut, machine, told, unwrapped

# psec takes 3DES from where it was until cryptography 48, and single DES for one half of a retail MAC.
pytestmark = [
    pytest.mark.filterwarnings("ignore:TripleDES has been moved"),
    pytest.mark.filterwarnings("ignore:Single-key TripleDES"),
]

TDES = bytes(map(odd_parity, b"0123456789abcdef"))
TDES_TOO = bytes(map(odd_parity, b"another key of 3"))
AES_KEY, AES_KEY_TOO = b"AES key of sixte", b"AES key number 2" * 2
PAN = "6228480402637874213"

KIND_CHOICES = [
    (usage, algorithm, bits, mode)
    for usage, kind in KINDS.items()
    for algorithm, sizes in kind.bits.items()
    for bits in sizes
    for mode in kind.modes
]


def cmac(key: bytes, message: bytes) -> bytes:
    made = CMAC(AES(key))
    made.update(message)
    return made.finalize()


def tdes(key: bytes) -> Cipher[modes.ECB]:
    return Cipher(TripleDES(key + key[:8]), modes.ECB())


def zone_block(header: Header, key: bytes, zone: bytes = ZMK_KEY) -> str:
    return "R" + Protection.of(zone).wrap(header, key, os.urandom)


@pytest.mark.parametrize(("usage", "algorithm", "bits", "mode"), KIND_CHOICES)
def test_a_key_made_here_reaches_another_zone_as_the_same_key(
    usage: str, algorithm: str, bits: int, mode: str
) -> None:
    box = machine()
    kept, rest = cut(told("A0", f"1{usage}{algorithm}{mode}E{bits:03d}{ZMK}", box))
    exported, check = cut(rest)
    header, key = unwrapped(kept)
    assert unwrapped(exported, ZMK_KEY) == (header, key)
    assert (header, 8 * len(key)) == (Header(usage, algorithm, mode, "00", "E"), bits)
    assert algorithm != "T" or all(byte.bit_count() % 2 == 1 for byte in key)
    assert told("BU", kept, box) == check
    again, check_again = cut(told("A6", ZMK + exported, box))
    assert (unwrapped(again), check_again) == ((header, key), check)
    moved, check_moved = cut(told("A8", ZMK + kept, box))
    assert (unwrapped(moved, ZMK_KEY), check_moved) == ((header, key), check)


def test_a_key_that_is_not_to_be_exported_is_made_and_stays() -> None:
    kept, check = cut(told("A0", "0M6ACN256"))
    header, key = unwrapped(kept)
    assert (header.exportability, len(key)) == ("N", 32)
    assert check == cmac(key, bytes(16))[:3].hex().upper()
    assert code("A8", ZMK + kept) == "AA"
    assert code("A0", f"1M6ACN256{ZMK}") == "AA"


def test_an_import_keeps_optional_blocks_and_the_version_number() -> None:
    header = Header("P0", "A", "D", "07", "S", (("KS", "00604B120F9292800000"), ("LB", "from the bank")))
    kept, _ = cut(told("A6", ZMK + zone_block(header, AES_KEY)))
    assert unwrapped(kept) == (header, AES_KEY)


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=200), st.sampled_from([16, 24, 32]))
def test_a_mac_of_an_aes_key_is_its_cmac_and_verifies(message: bytes, size: int) -> None:
    key = bytes(range(size))
    kept = block("M6", "A", "C", key)
    tail = f"{len(message):04X}".encode() + message
    for letter, count in (("0", 4), ("1", 8), ("2", 16)):
        made = told("M6", f"{kept}{letter}".encode() + tail)
        assert made == cmac(key, message)[:count].hex().upper()
        assert ask("M8", f"{kept}{letter}{made}".encode() + tail) == b""
        other = tail[:-1] + bytes((tail[-1] ^ 1,))
        assert code("M8", f"{kept}{letter}{made}".encode() + other) == "01"


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=100))
def test_a_mac_of_a_3des_key_is_the_retail_mac_of_anothers_implementation(message: bytes) -> None:
    kept = block("M3", "T", "C", TDES)
    tail = f"{len(message):04X}".encode() + message
    made = told("M6", f"{kept}1".encode() + tail)
    assert made == psec.mac.generate_retail_mac(TDES[:8], TDES[8:], message, 1).hex().upper()
    assert ask("M8", f"{kept}1{made}".encode() + tail) == b""


PINS = st.text("0123456789", min_size=4, max_size=12)
PANS = st.text("0123456789", min_size=13, max_size=19)


def sealed_pin(kind: str, key: bytes, pin: str, pan: str) -> str:
    if kind == "48":
        return psec.pinblock.encipher_pinblock_iso_4(key, pin, pan).hex().upper()
    encode = {"01": psec.pinblock.encode_pinblock_iso_0, "47": psec.pinblock.encode_pinblock_iso_3}[kind]
    return tdes(key).encryptor().update(encode(pin, pan)).hex().upper()


def opened_pin(kind: str, key: bytes, sealed: str, pan: str) -> str:
    data = bytes.fromhex(sealed)
    if kind == "48":
        return psec.pinblock.decipher_pinblock_iso_4(key, data, pan)
    decode = {"01": psec.pinblock.decode_pinblock_iso_0, "47": psec.pinblock.decode_pinblock_iso_3}[kind]
    return decode(tdes(key).decryptor().update(data), pan)


@settings(max_examples=60)
@given(PINS, PANS, st.sampled_from(["01", "47", "48"]), st.sampled_from(["01", "47", "48"]))
def test_a_translated_pin_is_the_pin_that_was_entered(pin: str, pan: str, source: str, target: str) -> None:
    from_key, to_key = (
        (AES_KEY if source == "48" else TDES), (AES_KEY_TOO if target == "48" else TDES_TOO)
    )  # fmt: skip
    for command, usage in (("CA", "71"), ("CC", "72")):
        given_key = block(usage, "A" if source == "48" else "T", "D", from_key)
        wanted_key = block("72", "A" if target == "48" else "T", "E", to_key)
        sealed = sealed_pin(source, from_key, pin, pan)
        found = told(command, f"{given_key}{wanted_key}{source}{sealed}{target}{len(pan):02d}{pan}")
        assert (found[:2], found[-2:]) == (f"{len(pin):02d}", target)
        assert opened_pin(target, to_key, found[2:-2], pan) == pin


TPK, ZPK = block("71", "T", "D", TDES), block("72", "T", "E", TDES_TOO)


def translation(kind: str = "01", field: bytes | None = None, pan: str = PAN, keys: str = TPK + ZPK) -> str:
    plain = field or psec.pinblock.encode_pinblock_iso_0("1234", PAN)
    return f"{keys}{kind}{tdes(TDES).encryptor().update(plain).hex().upper()}01{len(pan):02d}{pan}"


def mixed(text: str) -> bytes:
    """A plain PIN field mixed with the PAN's, as formats 0 and 3 are before they are encrypted."""
    pan = bytes.fromhex("0000" + PAN[-13:-1])
    return bytes(a ^ b for a, b in zip(bytes.fromhex(text), pan, strict=True))


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        ("20", translation(field=mixed("141234FFFFFFFFFF"))),
        ("20", translation(field=mixed("04123AFFFFFFFFFF"))),
        ("20", translation(field=mixed("041234FFFFFFFFF0"))),
        ("20", translation(field=mixed("341234FFFFFFFFFF"))),
        ("20", translation("47")),
        ("20", translation("47", mixed("341234ABCDEF0ABC"))),
        ("20", translation(pan="6228480402637874993")),
        ("24", translation(field=mixed("03123FFFFFFFFFFF"))),
        ("24", translation(field=mixed("0D1234567890123F"))),
        ("23", translation("02")),
        ("23", translation()[:-23] + "05" + translation()[-21:]),
        ("15", translation(pan="62284804026")),
        ("15", translation(pan="622848040263787X213")),
        ("80", translation()[:-1]),
        ("80", translation() + "0"),
        ("A7", translation(keys=block("71", "A", "D", AES_KEY) + ZPK)),
        ("A7", translation(keys=TPK + block("72", "A", "E", AES_KEY))),
        ("A8", translation(keys=block("71", "T", "E", TDES) + ZPK)),
        ("A8", translation(keys=TPK + block("72", "T", "D", TDES_TOO))),
        ("A6", translation(keys=TPK + block("71", "T", "E", TDES_TOO))),
        ("A6", translation(keys=block("72", "T", "D", TDES) + ZPK)),
        ("A6", translation(keys=TPK + ZMK)),
    ],
)
def test_a_pin_that_cannot_be_translated_is_refused_with_its_code(expected: str, fields: str) -> None:
    assert code("CA", fields) == expected
    assert told("CA", translation())[:2] == "04"


CMAC_KEY = block("M6", "A", "C", AES_KEY)
ONLY_VERIFIES, ONLY_GENERATES = block("M6", "A", "V", AES_KEY), block("M6", "A", "G", AES_KEY)
FOREIGN = block("M6", "A", "C", AES_KEY, lmk=bytes(32))
TAC_ROOT_BLOCK = block("82", "T", "X", TDES)
WRAPS, UNWRAPS = block("K1", "A", "E", ZMK_KEY), block("K1", "A", "D", ZMK_KEY)
SMALL_ZMK = block("K1", "A", "B", AES_KEY)
EVEN_KEY = bytes(16)
IMPORTED = zone_block(Header("P0", "T", "D"), TDES)


@pytest.mark.parametrize(
    ("expected", "command", "fields"),
    [
        ("80", "A0", ""),
        ("80", "A0", "0M6ACN25"),
        ("80", "A0", "0M6ACN2560"),
        ("80", "A0", "1M6ACE256"),
        ("15", "A0", "2M6ACN256"),
        ("15", "A0", "0M6ACNxxx"),
        ("15", "A0", b"0\xff\xffACN256"),
        ("28", "A0", "082TXN128"),
        ("28", "A0", "0S0ESN256"),
        ("A7", "A0", "0M64CN128"),
        ("A7", "A0", "0M3ACN128"),
        ("27", "A0", "0M3TCN192"),
        ("27", "A0", "0M6ACN127"),
        ("A8", "A0", "0M6AXN128"),
        ("AA", "A0", "0M6ACX128"),
        ("26", "A0", "1M6ACE256R" + ZMK[1:]),
        ("AB", "A0", "1M6ACE256S" + "X" * 200),
        ("27", "A0", "1M6ACE256" + SMALL_ZMK),
        ("A8", "A0", "1M6ACE256" + UNWRAPS),
        ("A6", "A0", "1M6ACE256" + CMAC_KEY),
        ("A8", "A6", WRAPS + IMPORTED),
        ("A8", "A8", UNWRAPS + CMAC_KEY),
        ("A6", "A6", CMAC_KEY + IMPORTED),
        ("A4", "A6", SMALL_ZMK + IMPORTED),
        ("26", "A6", ZMK + "S" + IMPORTED[1:]),
        ("28", "A6", ZMK + zone_block(Header("82", "T", "X"), TDES)),
        ("27", "A6", ZMK + zone_block(Header("M6", "A", "C"), bytes(17))),
        ("A7", "A6", ZMK + zone_block(Header("M6", "T", "C"), TDES)),
        ("A8", "A6", ZMK + zone_block(Header("M6", "A", "N"), AES_KEY)),
        ("10", "A6", ZMK + zone_block(Header("P0", "T", "D"), EVEN_KEY)),
        ("80", "A6", ZMK + IMPORTED[:-1]),
        ("80", "A8", ZMK + CMAC_KEY + "S"),
        ("A4", "BU", FOREIGN),
        ("A4", "BU", CMAC_KEY[:-1] + ("0" if CMAC_KEY[-1] != "0" else "1")),
        ("AB", "BU", CMAC_KEY[:-1] + "z"),
        ("28", "BU", TAC_ROOT_BLOCK),
        ("28", "M6", TAC_ROOT_BLOCK + "0" + "0001x"),
        ("A6", "M6", ZPK + "0" + "0001x"),
        ("A6", "M6", ZMK + "0" + "0001x"),
        ("A8", "M6", ONLY_VERIFIES + "0" + "0001x"),
        ("A8", "M8", ONLY_GENERATES + "0" + "00000000" + "0001x"),
        ("15", "M6", CMAC_KEY + "3" + "0001x"),
        ("15", "M6", block("M3", "T", "C", TDES) + "2" + "0001x"),
        ("15", "M6", CMAC_KEY + "0" + "000xx"),
        ("80", "M6", CMAC_KEY + "0" + "0000"),
        ("80", "M6", CMAC_KEY + "0" + "0002x"),
        ("80", "M6", CMAC_KEY + "0" + "1001" + "x" * 4097),
        ("15", "M8", CMAC_KEY + "0" + "0000000g" + "0001x"),
        ("01", "M8", CMAC_KEY + "0" + "00000000" + "0001x"),
    ],
)
def test_each_refusal_of_a_host_command_has_its_code(
    expected: str, command: str, fields: str | bytes
) -> None:
    assert code(command, fields) == expected


def test_a_host_key_serves_the_one_way_that_its_mode_allows() -> None:
    made = told("M6", ONLY_GENERATES + "1" + "0005hello")
    assert ask("M8", ONLY_VERIFIES + "1" + made + "0005hello") == b""


@settings(max_examples=40)
@given(st.integers(1, len(CMAC_KEY) - 1), st.characters(min_codepoint=1, max_codepoint=0x7F))
def test_a_changed_block_makes_no_mac(place: int, other: str) -> None:
    changed = CMAC_KEY[:place] + other + CMAC_KEY[place + 1 :]
    found = ask("M6", changed + "0" + "0001x")
    assert isinstance(found, bytes) is (changed == CMAC_KEY)
    assert changed == CMAC_KEY or found in ("A4", "AB", "80", "15")


def test_uses_of_host_keys_are_counted_under_a_name_without_key_material() -> None:
    box = machine()
    told("M6", CMAC_KEY + "0" + "0001x", box)
    told("M6", CMAC_KEY + "0" + "0001x", box)
    told("A8", ZMK + CMAC_KEY, box)
    code("M6", ZPK + "0" + "0001x", box)
    uses, _ = box.uses.take()
    assert uses == {f"block M6 {CMAC_KEY[-8:]}": 3, f"block K1 {ZMK[-8:]}": 1}
    assert LMK.hex() not in repr(box)
