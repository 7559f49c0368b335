"""Each command by its published bytes, each refusal, and what any bytes at all can bring about."""

import inspect
import re
from collections import Counter
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from hsm_sim import epurse
from hsm_sim.box import Answer, Box
from hsm_sim.bulk_work import ROWS_BOUND, BulkWork
from hsm_sim.commands import COMMANDS, answer
from hsm_sim.keys import DEMO_KEYS, KeyStore, Usage, demo_keys
from hsm_sim.suites import SUITES
from hsm_sim.wire import ErrorCode, Request
from hypothesis import given
from hypothesis import strategies as st

from tests.hsm_sim import worked_example as example

FORMAT = Path(__file__).resolve().parents[2] / "docs" / "formats" / "hsm.md"
KEYS = "01 00 01011000FFFFFFFF 4870000000001234"
PURCHASE = f"{KEYS} 11223344 0036 000000C8 06 518000000001 20260131 164329 00000057"
MAC2 = f"{KEYS} 11223344 0036 00000057 000000C8 512929DF"
LOAD = f"{KEYS} 11223344 0005 00002710 000000C8 02 518000000001 20260131 164329 59B8C4F0"
TAC = f"{KEYS} 000000C8 06 518000000001 00000057 20260131 164329 CFF2892D"
LOAD_TAC = f"{KEYS} 000027D8 0005 000000C8 02 518000000001 20260131 164329 877B3221"
DIGEST = bytes(range(32))


def counting(count: int) -> bytes:
    return bytes(number & 0xFF for number in range(count))


BOX = Box(demo_keys(), counting, "0123456789ABCDEF", "9.9")


def ask(command: str, fields: str | bytes = b"", box: Box = BOX) -> Answer:
    packed = bytes.fromhex(fields) if isinstance(fields, str) else fields
    return answer(box, Request(b"HEAD", command.encode(), packed))


def cmac(key: bytes, message: bytes) -> bytes:
    made = CMAC(AES(key))
    made.update(message)
    return made.finalize()


@pytest.mark.parametrize(
    ("command", "fields", "expected"),
    [
        ("E0", PURCHASE, "ECE05309"),
        ("E0", PURCHASE.replace(" 06 ", " 09 "), "1831A64D"),
        ("E0", PURCHASE.replace("01 00", "00 00", 1), "ECE05309"),
        ("E2", MAC2, ""),
        ("E4", LOAD, "9A4E8EB6"),
        ("E6", TAC, ""),
        ("E6", TAC.replace(" 06 ", " 09 ").replace("CFF2892D", "800122FC"), ""),
        ("E8", LOAD_TAC, ""),
    ],
)
def test_the_worked_example_comes_out(command: str, fields: str, expected: str) -> None:
    assert ask(command, fields) == bytes.fromhex(expected)


@pytest.mark.parametrize(("command", "fields"), [("E2", MAC2), ("E4", LOAD), ("E6", TAC), ("E8", LOAD_TAC)])
def test_one_bit_changed_in_any_field_fails_the_verification(command: str, fields: str) -> None:
    packed = bytearray.fromhex(fields)
    # Type, date and time of a load are not under its MAC1, and of a terminal sequence only the right half is used.
    free = {"E2": {24, 25}, "E4": set(range(39, 46))}.get(command, set())
    for place in sorted(set(range(2, len(packed))) - free):
        packed[place] ^= 1
        assert ask(command, bytes(packed)) is ErrorCode.VERIFICATION_FAILED, f"byte {place}"
        packed[place] ^= 1
    assert isinstance(ask(command, bytes(packed)), bytes)


REFUSALS = [
    ("68", "E1", ""),
    ("68", "ZZ", "00"),
    ("80", "NC", "00"),
    ("80", "E0", ""),
    ("80", "E6", TAC + "00"),
    ("80", "E6", TAC[:-2]),
    ("80", "B2", "30 30"),
    ("80", "F0", "000000"),
    ("80", "F0", "00000001" + "00" * 43),
    ("80", "B2", "30303032 FF"),
    ("15", "B2", "3030307A FF"),
    ("15", "B2", "2B303031 FF"),
    ("15", "N0", "303030"),
    ("15", "N0", "323537"),
    ("15", "N0", "2B3031"),
    ("15", "G0", "01" + "20" * 8 + "00" * 32),
    ("15", "G0", "01" + "204D4554524F2D31" + "00" * 32),
    ("15", "G2", "63" + "4D4554524FC32D31" + "00" * 48),
    ("26", "E0", PURCHASE.replace("01 00", "01 02", 1)),
    ("26", "E2", MAC2.replace("01 00", "63 FF", 1)),
    ("12", "E4", LOAD.replace("01 00", "02 00", 1)),
    ("12", "E6", TAC.replace("01 00", "FF 00", 1)),
    ("26", "F2", "63 02" + "00" * 16 + "63"),
    ("12", "F2", "01 00" + "00" * 16 + "02"),
    ("12", "F2", "02 01" + "00" * 16 + "01"),
    ("12", "E6", TAC.replace("01 00", "FF 01", 1)),
    ("80", "EA", KEYS + "00" * 9),
    ("26", "EA", KEYS.replace("01 00", "01 07") + "00" * 8),
    ("12", "EA", KEYS.replace("01 00", "02 00") + "00" * 8),
    ("12", "F4", KEYS + "02"),
    ("12", "G0", "02" + "4D4554524F2D3120" + "00" * 32),
    ("12", "G4", "02" + "00" * 32),
    ("12", "G6", "09"),
    ("80", "G8", "01"),
    ("80", "G8", "01" + "00" * 4097),
    ("80", "H0", ""),
    ("80", "H2", "01" + "00" * 39),
    ("80", "I2", "00" * 24),
    ("80", "I2", "00" * 24 + "00" * 4097),
    ("80", "I4", "00" * 32),
    ("15", "I0", "63" + "20" * 8),
    ("15", "I6", "63 01" + "41 42 20 43 20 20 20 20"),
    ("12", "G8", "02 00"),
    ("12", "GA", "02"),
    ("12", "H0", "02"),
    ("12", "H2", "02" + "00" * 40),
    ("12", "I0", "02" + "54 30 30 30 30 30 30 31"),
    ("12", "I6", "01 02" + "54 30 30 30 30 30 30 31"),
    ("01", "H2", "01" + "00" * 40),
    ("01", "I2", "00" * 24 + "00"),
    ("01", "I4", "00" * 32 + "00"),
    ("01", "E4", LOAD.replace("59B8C4F0", "59B8C4F1")),
    ("01", "G2", "01" + "4D4554524F2D3120" + "00" * 48),
]


@pytest.mark.parametrize(("error", "command", "fields"), REFUSALS)
def test_a_refusal_has_its_code(error: str, command: str, fields: str) -> None:
    assert ask(command, fields) == ErrorCode(error)


def test_bulk_over_the_bound_is_refused_and_at_the_bound_is_not() -> None:
    rows = ROWS_BOUND
    assert isinstance(ask("F0", rows.to_bytes(4) + bytes(44 * rows)), BulkWork)
    assert ask("F0", (rows + 1).to_bytes(4) + bytes(44 * (rows + 1))) is ErrorCode.VALUE_IMPOSSIBLE


def test_a_key_serves_its_own_usage_only() -> None:
    only_tac = Box(KeyStore({(Usage.TAC_ROOT, 1): DEMO_KEYS[Usage.TAC_ROOT]}), counting, "", "")
    assert ask("E6", TAC, only_tac) == b""
    others = (("E0", PURCHASE), ("E2", MAC2), ("E4", LOAD), ("EA", KEYS + "00" * 8), ("F4", KEYS + "01"))
    for command, fields in others:
        assert ask(command, fields, only_tac) is ErrorCode.KEY_UNKNOWN
    without_tac = Box(
        KeyStore({k: v for k, v in demo_keys().slots.items() if k[0] != "TK"}), counting, "", ""
    )
    assert ask("E8", LOAD_TAC, without_tac) is ErrorCode.KEY_UNKNOWN


def test_version_zero_is_the_newest_and_old_versions_still_verify() -> None:
    rotated = Box(demo_keys().with_next_version(Usage.TAC_ROOT, counting), counting, "", "")
    assert ask("E6", TAC, rotated) == b""
    assert ask("E6", TAC.replace("01 00", "00 00", 1), rotated) is ErrorCode.VERIFICATION_FAILED
    work = ask("F0", "00000000", rotated)
    assert isinstance(work, BulkWork)
    assert work.roots == {
        (0, 0): counting(16),
        (1, 0): DEMO_KEYS[Usage.TAC_ROOT],
        (2, 0): counting(16),
        (0, 1): DEMO_KEYS[Usage.SM4_TAC_ROOT],
        (1, 1): DEMO_KEYS[Usage.SM4_TAC_ROOT],
    }


GENERATING = [
    ("E0", PURCHASE, Usage.PURCHASE_ROOT),
    ("E4", LOAD, Usage.LOAD_ROOT),
    ("EA", KEYS + "00" * 8, Usage.AUTHENTICATION_ROOT),
    ("F2", KEYS + "01", Usage.TAC_ROOT),
    ("F2", KEYS + "01", Usage.TRANSPORT),
    ("F2", KEYS.replace("01 00", "01 01", 1) + "01", Usage.SM4_TAC_ROOT),
    ("F4", KEYS + "01", Usage.AUTHENTICATION_ROOT),
    ("GC", "00 01 00", Usage.SIGNATURE),
    ("GC", "01 01 00", Usage.P256_SIGNATURE),
    ("G0", "01" + "4D4554524F2D3120" + "00" * 32, Usage.BATCH_ROOT),
    ("G4", "01" + "00" * 32, Usage.SIGNATURE),
    ("G8", "01 00", Usage.QR_SIGNATURE),
    ("H0", "01", Usage.DATA),
    ("I0", "01" + "54 30 30 30 30 30 30 31", Usage.TERMINAL_MASTER),
    ("I6", "01 01" + "54 30 30 30 30 30 30 31", Usage.TRANSPORT),
]


@pytest.mark.parametrize(("command", "fields", "usage"), GENERATING)
def test_an_old_version_generates_nothing_unless_it_overlaps(command: str, fields: str, usage: Usage) -> None:
    keys = demo_keys().with_next_version(usage, counting)
    assert isinstance(ask(command, fields), bytes)
    assert ask(command, fields, Box(keys, counting, "", "")) is ErrorCode.VERSION_OLD
    overlapping = KeyStore(keys.slots, frozenset({(usage, 1)}))
    assert ask(command, fields, Box(overlapping, counting, "", "")) == ask(command, fields)


@pytest.mark.parametrize(
    ("command", "fields", "usage"),
    [
        ("E2", MAC2, Usage.PURCHASE_ROOT),
        ("E6", TAC, Usage.TAC_ROOT),
        ("E8", LOAD_TAC, Usage.TAC_ROOT),
        ("G6", "01", Usage.SIGNATURE),
        ("GA", "01", Usage.QR_SIGNATURE),
    ],
)
def test_an_old_version_verifies_as_it_always_did(command: str, fields: str, usage: Usage) -> None:
    keys = demo_keys().with_next_version(usage, counting)
    assert ask(command, fields, Box(keys, counting, "", "")) == ask(command, fields)


def test_every_use_of_a_key_is_counted_and_failures_beside() -> None:
    box = Box(demo_keys(), counting, "", "")
    ask("E0", PURCHASE, box)
    ask("E6", TAC, box)
    ask("E6", TAC.replace("CFF2892D", "00000000").replace("01 00", "00 00", 1), box)
    ask("E6", TAC.replace("01 00", "09 00", 1), box)
    ask("F2", KEYS + "01", box)
    ask("I2", bytes(24) + b"x", box)
    rows = bytes([1, 1, 0, 9, 1]) + bytes([0, 0, 0, 0, 1]) + bytes(5 * 42)
    ask("F0", (5).to_bytes(4) + rows, box)
    ask("F0", (3).to_bytes(4) + bytes(3 * 44), box)
    uses, failed = box.uses.take()
    assert uses == {"PK 1": 2, "LK 1": 1, "TK 1": 2 + 1 + 3 + 3, "XK 1": 1, "TS 1": 1, "WK 0": 1}
    assert failed == {"TK 1": 1, "WK 0": 1}
    assert box.uses.take() == ({}, {})
    box.uses.put_back((uses, failed))
    ask("E0", PURCHASE, box)
    assert box.uses.take() == ({**uses, "PK 1": 3}, failed)


def test_diagnostics_say_loudly_that_this_is_a_simulator() -> None:
    assert ask("NC") == b"0123456789ABCDEFSIMULATOR hsm-sim 9.9 DEMO KEYS"
    own = KeyStore({(usage, 1): bytes(len(key)) for usage, key in DEMO_KEYS.items()})
    assert (
        ask("NC", box=Box(own, counting, "0123456789ABCDEF", "9.9"))
        == b"0123456789ABCDEFSIMULATOR hsm-sim 9.9"
    )


def test_echo_and_random_give_as_many_bytes_as_asked_for() -> None:
    assert ask("B2", b"0003abc") == b"abc"
    assert ask("B2", b"0000") == b""
    assert ask("B2", b"ffFF" + bytes(0xFFFF)) == bytes(0xFFFF)
    assert ask("N0", b"001") == counting(1)
    assert ask("N0", b"256") == counting(256)


def test_personalisation_keys_unwrap_to_the_cards_keys() -> None:
    found = ask("F2", KEYS + "01")
    assert isinstance(found, bytes) and (found[0], len(found)) == (1, 1 + 56 + 9)
    expected = "".join(
        example.CARD_KEYS[root] for root in (example.PURCHASE_ROOT, example.LOAD_ROOT, example.TAC_ROOT)
    )
    assert aes_key_unwrap(DEMO_KEYS[Usage.TRANSPORT], found[1:57]).hex().upper() == expected
    # Check values by OpenSSL's command line: des-ede of eight zero bytes under each of the three keys.
    assert found[57:].hex().upper() == "0709763104B8741397"


@pytest.mark.parametrize("algorithm", [0, 1])
def test_personalisation_says_the_version_that_is_newest_of_all_three_roots(algorithm: int) -> None:
    roots = list(SUITES[bytes([algorithm])].roots.values())[:3]
    newest = f"00 {algorithm:02X} 01011000FFFFFFFF 4870000000001234 01"
    keys = demo_keys()
    for rotated in roots[:2]:
        keys = keys.with_next_version(rotated, counting)
        assert ask("F2", newest, Box(keys, counting, "", "")) is ErrorCode.KEY_UNKNOWN
    keys = keys.with_next_version(roots[2], counting)
    found = ask("F2", newest, Box(keys, counting, "", ""))
    assert isinstance(found, bytes) and found[0] == 2
    assert ask("F2", newest.replace("00", "02", 1), Box(keys, counting, "", "")) == found
    assert ask("F2", newest.replace("00", "01", 1), Box(keys, counting, "", "")) is ErrorCode.VERSION_OLD


def test_a_cards_challenge_is_answered_under_its_authentication_key() -> None:
    issuer, card = bytes.fromhex(example.ISSUER_FACTOR), bytes.fromhex(example.CARD_FACTOR)
    key = epurse.card_key(DEMO_KEYS[Usage.AUTHENTICATION_ROOT], issuer, card)
    wrapped = ask("F4", KEYS + "01")
    assert isinstance(wrapped, bytes)
    assert aes_key_unwrap(DEMO_KEYS[Usage.TRANSPORT], wrapped[1:25]) == key
    assert wrapped[:1] + wrapped[25:] == b"\1" + epurse.check_value(key)
    assert ask("EA", KEYS + "0011223344556677") == epurse.triple_des(key, bytes.fromhex("0011223344556677"))


def test_a_batch_mac_is_the_cmac_under_the_operators_key() -> None:
    made = ask("G0", b"\1METRO-1 " + DIGEST)
    assert made == cmac(cmac(DEMO_KEYS[Usage.BATCH_ROOT], b"METRO-1 "), DIGEST)
    assert isinstance(made, bytes)
    assert ask("G2", b"\0METRO-1 " + DIGEST + made) == b""
    assert ask("G2", b"\0METRO-2 " + DIGEST + made) is ErrorCode.VERIFICATION_FAILED
    assert ask("G2", b"\0METRO-1 " + DIGEST[::-1] + made) is ErrorCode.VERIFICATION_FAILED


def test_a_signature_verifies_under_the_public_key() -> None:
    signed, public = ask("G4", b"\0" + DIGEST), ask("G6", b"\0")
    assert isinstance(signed, bytes) and isinstance(public, bytes)
    assert signed[:1] == public[:1] == b"\1"
    verifier = Ed25519PublicKey.from_public_bytes(public[1:])
    verifier.verify(signed[1:], DIGEST)
    with pytest.raises(InvalidSignature):
        verifier.verify(signed[1:], DIGEST[::-1])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_handler_takes_the_fields_of_its_command(command: bytes) -> None:
    parameters = list(inspect.signature(COMMANDS[command].handler).parameters.values())[1:]
    named = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        named |= {"version", "algorithm", "issuer", "card"}
    assert named == {name for name, _ in COMMANDS[command].fields}


def test_the_commands_are_those_of_the_format() -> None:
    section = FORMAT.read_text(encoding="utf-8").split("## Commands")[1].split("\n## ")[0]
    described = re.findall(r"^\| `([A-Z][A-Z0-9])` ", section, re.MULTILINE)
    assert sorted(described) == sorted(command.decode() for command in COMMANDS)


@given(st.sampled_from(sorted(COMMANDS)) | st.binary(min_size=2, max_size=2), st.data())
def test_any_fields_bring_an_answer_or_an_error_code(command: bytes, data: st.DataObject) -> None:
    known = COMMANDS.get(command)
    widths = [width for _, width in known.fields if width is not None] if known else []
    length = st.sampled_from([sum(widths), sum(widths), sum(widths) + 44]) | st.integers(0, 100)
    size = data.draw(length)
    fields = data.draw(st.binary(min_size=size, max_size=size))
    found = answer(BOX, Request(b"HEAD", command, fields))
    assert isinstance(found, bytes | ErrorCode | BulkWork)
    assert found is not ErrorCode.DONE


@given(rows=st.lists(st.tuples(st.sampled_from([0, 1, 2, 9, 255]), st.sampled_from([0, 1, 2, 255]))))
def test_rows_of_both_suites_are_counted_as_if_one_by_one(rows: list[tuple[int, int]]) -> None:
    keys = demo_keys().with_next_version(Usage.TAC_ROOT, counting)
    expected: Counter[str] = Counter()
    for version, algorithm in rows:
        usage = Usage.SM4_TAC_ROOT if algorithm == 1 else Usage.TAC_ROOT
        if keys.find(usage, version):
            expected[f"{usage} {version or keys.newest(usage)}"] += 1
    box = Box(keys, counting, "", "")
    columns = bytes(version for version, _ in rows) + bytes(algorithm for _, algorithm in rows)
    ask("F0", len(rows).to_bytes(4) + columns + bytes(42 * len(rows)), box)
    assert box.uses.take() == (expected, Counter())
