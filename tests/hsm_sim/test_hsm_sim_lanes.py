"""Bit-sliced DES against the tables of the standard and against OpenSSL; TACs in bulk against TACs singly."""

from collections.abc import Mapping

import numpy as np
import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from hsm_sim import bulk, epurse
from hsm_sim.bulk import COLUMN_WIDTHS, TacColumns, verify_tacs
from hsm_sim.bulk_work import ROW_BYTES
from hsm_sim.des_lanes import Bytes, Lanes, Plane
from hsm_sim.sbox_circuits import CIRCUITS, Circuit
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hsm_sim import worked_example as example

# FIPS 46-3, S1 to S8: four rows each, a hex digit an entry.
S_BOXES = (
    "E4D12FB83A6C5907 0F74E2D1A6CB9538 41E8D62BFC973A50 FC8249175B3EA06D",
    "F18E6B34972DC05A 3D47F28EC01A69B5 0E7BA4D158C6932F D8A13F42B67C05E9",
    "A09E63F51DC7B428 D709346A285ECBF1 D6498F30B12C5AE7 1AD069874FE3B52C",
    "7DE3069A1285BC4F D8B56F03472C1AE9 A690CB7DF13E5284 3F06A1D8945BC72E",
    "2C417AB6853FD0E9 EB2C47D150FA3986 421BAD78F9C5630E B8C71E2D6F09A453",
    "C1AF92680D34E75B AF427C9561DE0B38 9EF528C3704A1DB6 432C95FABE17608D",
    "4B2EF08D3C975A61 D0B7491AE35C2F86 14BDC37EAF680592 6BD814A7950FE23C",
    "D2846FB1A93E50C7 1FD8A374C56B0E92 7B419CE206ADF358 21E74A8DFC90356B",
)
ROOTS = {0: b"root number two!", 1: b"root number one.", 2: b"root number two!"}


def run(circuit: Circuit, value: int) -> int:
    nodes = [value >> (5 - bit) & 1 for bit in range(6)]
    for gate in circuit.gates:
        a, b = nodes[gate.left], nodes[gate.right]
        nodes.append({"&": a & b, "|": a | b, "^": a ^ b, "-": a & ~b & 1, "~": ~a & 1}[gate.symbol])
    return int("".join(str(nodes[node]) for node in circuit.outputs), 2)


@pytest.mark.parametrize(("circuit", "table"), list(zip(CIRCUITS, S_BOXES, strict=True)), ids=range(1, 9))
def test_a_circuit_says_what_the_standards_table_says(circuit: Circuit, table: str) -> None:
    rows = table.split()
    for value in range(64):
        row, column = value >> 4 & 2 | value & 1, value >> 1 & 15
        assert run(circuit, value) == int(rows[row][column], 16), f"input {value:06b}"


def rows_of(planes: list[Plane], count: int) -> list[bytes]:
    bits = [np.unpackbits(plane.view(np.uint8), count=count, bitorder="little") for plane in planes]
    return [row.tobytes() for row in np.packbits(np.array(bits).T, axis=1)]


def column(values: list[bytes]) -> Bytes:
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), -1)


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8)),
        min_size=1,
        max_size=130,
    )
)
def test_every_lane_encrypts_as_openssl_does(pairs: list[tuple[bytes, bytes]]) -> None:
    lanes = Lanes(len(pairs))
    keys, blocks = (
        lanes.planes(column([key for key, _ in pairs])),
        lanes.planes(column([block for _, block in pairs])),
    )
    single = [Cipher(TripleDES(key[:8] * 3), modes.ECB()).encryptor().update(block) for key, block in pairs]
    triple = [Cipher(TripleDES(key + key[:8]), modes.ECB()).encryptor().update(block) for key, block in pairs]
    encrypted = lanes.encrypt(keys[:64], blocks)
    assert rows_of(encrypted, len(pairs)) == single
    assert rows_of(lanes.decrypt(keys[:64], encrypted), len(pairs)) == [block for _, block in pairs]
    assert rows_of(lanes.encrypt_triple(keys, blocks), len(pairs)) == triple


def pack_columns(rows: list[tuple[bytes, ...]]) -> bytes:
    return b"".join(b"".join(values) for values in zip(*rows, strict=True))


def right_tac(row: tuple[bytes, ...], roots: Mapping[int, bytes]) -> bytes:
    version, _, issuer, card, *message, _ = row
    key = epurse.card_key(roots[version[0]], issuer, card)
    return epurse.mac(epurse.tac_key(key), b"".join(message))


@st.composite
def rows(draw: st.DrawFn) -> tuple[bytes, ...]:
    """A row whose version, algorithm and TAC are sometimes wrong; issuers and cards come more than once."""
    row = (
        draw(st.sampled_from([b"\0", b"\1", b"\1", b"\2", b"\3", b"\xff"])),
        draw(st.sampled_from([b"\0", b"\0", b"\0", b"\1"])),
        draw(
            st.sampled_from([b"\1\1\x10\0\xff\xff\xff\xff", b"\2\1\x10\0\xff\xff\xff\xff"])
            | st.binary(min_size=8, max_size=8)
        ),
        draw(st.sampled_from([b"Card 001", b"Card 002"]) | st.binary(min_size=8, max_size=8)),
        *(draw(st.binary(min_size=width, max_size=width)) for width in COLUMN_WIDTHS[4:]),
    )
    if row[0][0] in ROOTS and draw(st.booleans()):
        tac = bytearray(right_tac(row, ROOTS))
        tac[draw(st.integers(0, 3))] ^= draw(st.sampled_from([0, 0, 0, 1, 128]))
        row = (*row[:-1], bytes(tac))
    return row


@settings(max_examples=20, deadline=None)
@given(st.lists(rows(), max_size=70))
def test_tacs_in_bulk_are_right_where_they_are_right_singly(drawn: list[tuple[bytes, ...]]) -> None:
    singly = [row[0][0] in ROOTS and row[1] == b"\0" and row[-1] == right_tac(row, ROOTS) for row in drawn]
    verdicts = verify_tacs(TacColumns.unpack(len(drawn), pack_columns(drawn)), ROOTS)
    assert verdicts.tolist() == singly


def test_rows_past_a_chunk_are_judged_like_those_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK_ROWS", 100)
    row = (b"\1", b"\0", *map(bytes.fromhex, (
        example.ISSUER_FACTOR, example.CARD_FACTOR, example.AMOUNT, "06", example.TERMINAL,
        example.TERMINAL_SEQUENCE, example.MOMENT[:8], example.MOMENT[8:],
    )))  # fmt: skip
    right, wrong = (*row, bytes.fromhex("CFF2892D")), (*row, bytes.fromhex("CFF2892C"))
    drawn = [wrong if number in (0, 99, 100, 249) else right for number in range(250)]
    verdicts = verify_tacs(TacColumns.unpack(250, pack_columns(drawn)), {1: bytes.fromhex(example.TAC_ROOT)})
    assert np.flatnonzero(~verdicts).tolist() == [0, 99, 100, 249]


def test_columns_have_the_width_that_the_wire_counts() -> None:
    assert sum(COLUMN_WIDTHS) == ROW_BYTES
    with pytest.raises(ValueError, match="87 bytes are not 2 rows of 44 bytes"):
        TacColumns.unpack(2, bytes(87))
