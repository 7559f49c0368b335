"""TACs in bulk through the client: both suites in one stream, batch after batch, no more held than is on its way."""

from collections.abc import Iterator

import numpy as np
import pytest

from card.chip.keys import NATIONAL
from card.hsm.bulk import AT_ONCE
from card.hsm.client import Hsm
from card.hsm.columns import WIDTHS, TacColumns
from card.hsm.errors import HsmError
from city.processes import RunningHsm

ISSUER, CARD = bytes.fromhex("01011000FFFFFFFF"), bytes.fromhex("4870000000001234")
PURCHASE = bytes.fromhex("000000C8 06 518000000001 00000057 20260131 164329")
NATIONAL_ROOT = bytes.fromhex("00112233445566778899AABBCCDDEEF0")
NATIONAL_KEY = NATIONAL.session_key(NATIONAL.session_key(NATIONAL_ROOT, ISSUER), CARD)
TACS = (bytes.fromhex("CFF2892D"), NATIONAL.mac(NATIONAL_KEY, PURCHASE))


@pytest.fixture(scope="module")
def hsm(hsm_process: RunningHsm) -> Iterator[Hsm]:
    with Hsm(hsm_process.host, hsm_process.port) as client:
        yield client


def purchases(algorithms: list[int], wrong: set[int]) -> TacColumns:
    """The worked purchase by a card of one suite or the other; the rows named have a TAC that is off by a bit."""
    rows = [
        bytes((1, algorithm)) + ISSUER + CARD + PURCHASE + bytes((tac[0] ^ (row in wrong), *tac[1:]))
        for row, algorithm in enumerate(algorithms)
        for tac in (TACS[algorithm],)
    ]
    whole = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), sum(WIDTHS.values()))
    ends = np.cumsum(list(WIDTHS.values()))
    return TacColumns(
        *(whole[:, end - width : end] for end, width in zip(ends, WIDTHS.values(), strict=True))
    )


def test_cards_of_both_suites_are_verified_in_one_request(hsm: Hsm) -> None:
    algorithms = [row // 3 % 2 for row in range(1_300)]
    wrong = {0, 3, 4, 511, 640, 1_299}
    verdicts = hsm.verify_tacs(purchases(algorithms, wrong))
    assert set(np.flatnonzero(~verdicts).tolist()) == wrong


def test_a_stream_is_taken_no_faster_than_it_is_answered(hsm: Hsm) -> None:
    taken: list[int] = []

    def batches() -> Iterator[TacColumns]:
        for number in range(20):
            taken.append(number)
            yield purchases([number % 2] * (number + 1), {number})

    for number, verdicts in enumerate(hsm.verify_tacs_in_turn(batches())):
        assert len(taken) <= number + AT_ONCE + 1
        assert verdicts.tolist() == [True] * number + [False]
    assert len(taken) == 20


def test_a_batch_over_the_bound_is_refused_and_the_client_goes_on(hsm: Hsm) -> None:
    too_many = TacColumns(*(np.zeros((300_001, width), np.uint8) for width in WIDTHS.values()))
    with pytest.raises(HsmError) as refused:
        list(hsm.verify_tacs_in_turn([purchases([0], set()), too_many, purchases([1], set())]))
    assert refused.value.code == "15"
    assert hsm.verify_tacs(purchases([0, 1], set())).tolist() == [True, True]
