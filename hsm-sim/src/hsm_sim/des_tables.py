"""The tables of DES (FIPS 46-3) as every lane-wise form of it needs them: which bit goes where.

The standard counts bits from 1, all here from 0. E needs no table: S-box s reads the bits 4s-1 to 4s+4 of the
right half.
"""

_PERMUTED = (16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
             2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25)  # fmt: skip
_CHOICE_1 = (57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18,
             10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
             63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22,
             14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4)  # fmt: skip
_CHOICE_2 = (14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10,
             23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
             41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48,
             44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32)  # fmt: skip
_SHIFTS = (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1)


def _round_key_bits() -> list[list[int]]:
    left, right = [bit - 1 for bit in _CHOICE_1[:28]], [bit - 1 for bit in _CHOICE_1[28:]]
    rounds = []
    for shift in _SHIFTS:
        left, right = left[shift:] + left[:shift], right[shift:] + right[:shift]
        both = left + right
        rounds.append([both[place - 1] for place in _CHOICE_2])
    return rounds


INITIAL = [bit - 8 * row for bit in (57, 59, 61, 63, 56, 58, 60, 62) for row in range(8)]
"""Which bit of a block stands at each place of the state; the other way round, where each bit goes at the end."""

ROUND_KEYS = _round_key_bits()
"""For each round, which bit of the key stands at each of the round key's 48 places."""

S_OUTPUT_PLACE = [_PERMUTED.index(bit + 1) for bit in range(32)]
"""To which bit of a half each output bit of the eight S-boxes is added."""
