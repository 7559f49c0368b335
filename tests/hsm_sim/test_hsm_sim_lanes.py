"""DES and SM4 over lanes against the tables of the standard and against OpenSSL."""

import numpy as np
import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from hsm_sim import sm4_lanes
from hsm_sim.des_lanes import Bytes, Lanes, Plane
from hsm_sim.sbox_circuits import CIRCUITS, Circuit
from hypothesis import given, settings
from hypothesis import strategies as st

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


def keys_and_blocks(block_bytes: int) -> st.SearchStrategy[list[tuple[bytes, bytes]]]:
    """Up to some more lanes than a word has bits, each a key of 16 bytes and a block."""
    key, block = (st.binary(min_size=width, max_size=width) for width in (16, block_bytes))
    return st.lists(st.tuples(key, block), min_size=1, max_size=130)


@settings(max_examples=15)
@given(keys_and_blocks(8))
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


def test_sm4_gives_the_ciphertext_that_the_standard_publishes() -> None:
    published = column([bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")])
    found = sm4_lanes.encrypt(sm4_lanes.words(published), sm4_lanes.words(published))
    assert b"".join(int(word[0]).to_bytes(4) for word in found).hex() == "681edf34d206965e86b3e94f536e4246"


@settings(max_examples=15)
@given(keys_and_blocks(16))
def test_every_lane_of_sm4_encrypts_as_openssl_does(pairs: list[tuple[bytes, bytes]]) -> None:
    keys, blocks = (sm4_lanes.words(column([pair[part] for pair in pairs])) for part in range(2))
    found = np.stack(sm4_lanes.encrypt(keys, blocks), axis=1).astype(">u4")
    single = [Cipher(SM4(key), modes.ECB()).encryptor().update(block) for key, block in pairs]
    assert [row.tobytes() for row in found] == single
