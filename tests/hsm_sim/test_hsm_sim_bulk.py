"""TACs in bulk against TACs singly, in both suites: one after another, by NumPy alone and by the compiled kernels."""

import os
import sys
from collections.abc import Mapping

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from hsm_sim import bulk, bulk_lanes, epurse
from hsm_sim.bulk import DES, TacColumns, Verifier, verify_tacs
from hsm_sim.bulk_lanes import NUMPY_VERIFIERS
from hsm_sim.bulk_work import COLUMN_WIDTHS, ROW_BYTES
from hsm_sim.bulk_worker import FEW_ROWS, SINGLE_ROWS, SINGLY, SMALL_ROWS, Verifiers
from hsm_sim.kernel_cache import cache_folder
from hsm_sim.kernels import KernelsUnfit, compiled_verifiers, prove
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hsm_sim import worked_example as example

Row = tuple[bytes, ...]
ROOTS = {
    (0, 0): b"root number two!",
    (1, 0): b"root number one.",
    (2, 0): b"root number two!",
    (0, 1): b"national root 1.",
    (1, 1): b"national root 1.",
}
EXAMPLE = (b"\1", b"\0", *map(bytes.fromhex, (
    example.ISSUER_FACTOR, example.CARD_FACTOR, example.AMOUNT, "06", example.TERMINAL,
    example.TERMINAL_SEQUENCE, example.MOMENT[:8], example.MOMENT[8:],
)))  # fmt: skip
EXAMPLE_ROOTS = {(1, 0): bytes.fromhex(example.TAC_ROOT)}


@pytest.fixture(scope="module", params=["singly", "numpy", "compiled"])
def verifiers(request: pytest.FixtureRequest) -> Mapping[int, Verifier]:
    """Each way in which both suites are verified."""
    if request.param == "compiled":
        return compiled_verifiers(cache_folder(os.environ))
    return SINGLY if request.param == "singly" else NUMPY_VERIFIERS


def cells_of(rows: list[Row]) -> bulk.Bytes:
    return np.frombuffer(b"".join(b"".join(values) for values in zip(*rows, strict=True)), np.uint8)


def right_tac(row: Row) -> bytes:
    """The TAC that OpenSSL makes, one key and one block after another."""
    version, algorithm, issuer, card, *message, _ = row
    root = ROOTS[version[0], algorithm[0]]
    if algorithm[0] == DES:
        return epurse.tac(root, issuer, card, b"".join(message))
    for factor in (issuer, card):
        block = factor + epurse.exclusive_or(factor, epurse.COMPLEMENT)
        root = Cipher(SM4(root), modes.ECB()).encryptor().update(block)
    padded = b"".join(message) + b"\x80" + bytes(9)
    return Cipher(SM4(root), modes.CBC(bytes(16))).encryptor().update(padded)[16:20]


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A row whose version, algorithm and TAC are sometimes wrong; issuers and cards come more than once."""
    row: Row = (
        draw(st.sampled_from([b"\0", b"\1", b"\1", b"\2", b"\3", b"\xff"])),
        draw(st.sampled_from([b"\0", b"\0", b"\1", b"\1", b"\2"])),
        draw(st.sampled_from([b"\1\1\x10\0\xff\xff\xff\xff"]) | st.binary(min_size=8, max_size=8)),
        draw(st.sampled_from([b"Card 001", b"Card 002"]) | st.binary(min_size=8, max_size=8)),
        *(draw(st.binary(min_size=width, max_size=width)) for width in COLUMN_WIDTHS[4:]),
    )
    if (row[0][0], row[1][0]) in ROOTS and draw(st.booleans()):
        tac = bytearray(right_tac(row))
        tac[draw(st.integers(0, 3))] ^= draw(st.sampled_from([0, 0, 0, 1, 128]))
        row = (*row[:-1], bytes(tac))
    return row


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(rows(), min_size=1, max_size=50), times=st.sampled_from([1, 1, 40]))
def test_tacs_in_bulk_are_right_where_they_are_right_singly(
    verifiers: Mapping[int, Verifier], drawn: list[Row], times: int
) -> None:
    singly = [(row[0][0], row[1][0]) in ROOTS and row[-1] == right_tac(row) for row in drawn]
    verdicts = verify_tacs(len(drawn) * times, cells_of(drawn * times), ROOTS, verifiers)
    assert verdicts.tolist() == singly * times


def test_rows_past_a_chunk_or_group_are_judged_like_those_in_it(
    verifiers: Mapping[int, Verifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_lanes, "CHUNK_ROWS", 100)
    right, wrong = (*EXAMPLE, bytes.fromhex("CFF2892D")), (*EXAMPLE, bytes.fromhex("CFF2892C"))
    drawn = [wrong if number in (0, 99, 100, 511, 512, 1099) else right for number in range(1100)]
    verdicts = verify_tacs(1100, cells_of(drawn), EXAMPLE_ROOTS, verifiers)
    assert np.flatnonzero(~verdicts).tolist() == [0, 99, 100, 511, 512, 1099]


def test_no_rows_and_no_roots_are_no_trouble(verifiers: Mapping[int, Verifier]) -> None:
    assert verify_tacs(0, np.zeros(0, np.uint8), ROOTS, verifiers).tolist() == []
    assert verify_tacs(3, np.zeros(3 * ROW_BYTES, np.uint8), {}, verifiers).tolist() == [False] * 3


def test_few_rows_are_verified_singly_until_there_are_kernels() -> None:
    verifiers = Verifiers()
    assert verifiers.of(FEW_ROWS) is SINGLY
    # The kernels are compiled aside from here on; so many rows wait for them.
    compiled = verifiers.of(SMALL_ROWS + 1)
    assert compiled not in (SINGLY, NUMPY_VERIFIERS)
    assert verifiers.of(1) is compiled


def test_without_kernels_numpy_verifies_what_is_more_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hsm_sim.kernels", None)
    verifiers = Verifiers()
    asked = (SMALL_ROWS + 1, SINGLE_ROWS + 1, SINGLE_ROWS)
    assert [verifiers.of(rows) for rows in asked] == [NUMPY_VERIFIERS, NUMPY_VERIFIERS, SINGLY]


def test_columns_shorter_than_their_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="87 bytes are not 2 rows of 44 bytes"):
        TacColumns.unpack(2, np.zeros(87, np.uint8))


def test_kernels_that_say_what_is_not_so_are_found_out() -> None:
    prove(NUMPY_VERIFIERS)
    with pytest.raises(KernelsUnfit, match="algorithm 01"):
        prove({0: NUMPY_VERIFIERS[0], 1: NUMPY_VERIFIERS[0]})
    with pytest.raises(KernelsUnfit, match="algorithm 00"):
        prove({0: lambda *_: np.ones(2, np.bool_), 1: NUMPY_VERIFIERS[1]})
