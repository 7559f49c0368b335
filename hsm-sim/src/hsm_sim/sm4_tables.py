"""The tables of SM4 (GB/T 32907) as every lane-wise form of it needs them: S-box and linear step in one look-up."""

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

_S_BOX = bytes.fromhex(
    "D690E9FECCE13DB716B614C228FB2C052B679A762ABE04C3AA44132649860699"
    "9C4250F491EF987A33540B43EDCFAC62E4B31CA9C908E89580DF94FA758F3FA6"
    "4707A7FCF37317BA83593C19E6854FA8686B81B27164DA8BF8EB0F4B70569D35"
    "1E240E5E6358D1A225227C3B01217887D40046579FD327524C3602E7A0C4C89E"
    "EABF8AD240C738B5A3F7F2CEF96115A1E0AE5DA49B341A55AD933230F58CB1E3"
    "1DF6E22E8266CA60C02923AB0D534E6FD5DB3745DEFD8E2F03FF6A726D6C5B51"
    "8D1BAF92BBDDBC7F11D95C411F105AD80AC13188A5CD7BBD2D74D012B8E5B4B0"
    "8969974A0C96777E65B9F109C56EC68418F07DEC3ADC4D2079EE5F3ED7CB3948"
)


def _table(rotations: tuple[int, ...]) -> Words:
    """The step of a byte at each of a word's four places (4 × 256): S-box, then the sum of the rotations."""
    boxed = np.frombuffer(_S_BOX, np.uint8).astype(np.uint32)
    table = np.empty((4, 256), np.uint32)
    for place in range(4):
        word = boxed << np.uint32(24 - 8 * place)
        table[place] = word
        for by in rotations:
            table[place] ^= word << np.uint32(by) | word >> np.uint32(32 - by)
    return table


ROUND_TABLE = _table((2, 10, 18, 24))
"""T of a round of encryption."""

KEY_TABLE = _table((13, 23))
"""T' of a round of the key schedule."""

FAMILY_KEY = np.array([0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC], np.uint32)
"""FK, added to the key before its schedule."""

ROUND_CONSTANTS = np.array(
    [sum((4 * number + byte) * 7 % 256 << 24 - 8 * byte for byte in range(4)) for number in range(32)],
    np.uint32,
)
"""CK, one for each round of the key schedule."""
