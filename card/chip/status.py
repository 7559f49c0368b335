"""The status words a card may answer with, and what each means to a person."""

from enum import IntEnum


class StatusWord(IntEnum):
    """ISO 7816-4 status words and those of the e-purse (PBOC EP, JT/T 978)."""

    DONE = 0x9000
    MEMORY_FAILURE = 0x6581
    WRONG_LENGTH = 0x6700
    NOT_IN_THIS_STATE = 0x6901
    SECURITY_NOT_SATISFIED = 0x6982
    KEY_LOCKED = 0x6983
    CONDITIONS_NOT_SATISFIED = 0x6985
    WRONG_DATA = 0x6A80
    FUNCTION_NOT_SUPPORTED = 0x6A81
    FILE_NOT_FOUND = 0x6A82
    RECORD_NOT_FOUND = 0x6A83
    WRONG_P1_P2 = 0x6A86
    KEY_NOT_FOUND = 0x6A88
    OFFSET_OUTSIDE = 0x6B00
    INSTRUCTION_UNKNOWN = 0x6D00
    CLASS_UNKNOWN = 0x6E00
    MAC_WRONG = 0x9302
    LOCKED_FOR_GOOD = 0x9303
    FUNDS = 0x9401
    COUNTER_EXHAUSTED = 0x9402
    KEY_INDEX = 0x9403
    NO_PROOF = 0x9406


MEANINGS: dict[int, str] = {
    StatusWord.DONE: "done",
    StatusWord.MEMORY_FAILURE: "the card could not write its memory",
    StatusWord.WRONG_LENGTH: "the command has a wrong length",
    StatusWord.NOT_IN_THIS_STATE: "the command is not accepted in this state",
    StatusWord.SECURITY_NOT_SATISFIED: "the security conditions are not satisfied",
    StatusWord.KEY_LOCKED: "the key is locked",
    StatusWord.CONDITIONS_NOT_SATISFIED: "the conditions of use are not satisfied",
    StatusWord.WRONG_DATA: "the command's data are wrong",
    StatusWord.FUNCTION_NOT_SUPPORTED: "the function is not supported",
    StatusWord.FILE_NOT_FOUND: "there is no such file or application",
    StatusWord.RECORD_NOT_FOUND: "there is no such record",
    StatusWord.WRONG_P1_P2: "the parameters P1 and P2 are wrong",
    StatusWord.KEY_NOT_FOUND: "the key is not on the card",
    StatusWord.OFFSET_OUTSIDE: "the offset lies outside the file",
    StatusWord.INSTRUCTION_UNKNOWN: "the card does not know the instruction",
    StatusWord.CLASS_UNKNOWN: "the card does not know the class of the command",
    StatusWord.MAC_WRONG: "the MAC is wrong",
    StatusWord.LOCKED_FOR_GOOD: "the application is locked for good",
    StatusWord.FUNDS: "the purse does not hold enough",
    StatusWord.COUNTER_EXHAUSTED: "the transaction counter is exhausted",
    StatusWord.KEY_INDEX: "the card has no key of that index",
    StatusWord.NO_PROOF: "the card has no proof of that transaction",
}


def right_length_is(length: int) -> int:
    """The word `6Cxx`: the wrong Le was asked for, `xx` is the right one (00 stands for 256)."""
    return 0x6C00 | length & 0xFF


def tries_left_are(tries: int) -> int:
    """The word `63Cx`: it was wrong, and `x` more tries are left."""
    return 0x63C0 | tries


def is_legal(word: int) -> bool:
    """Whether a card of this profile may answer with `word` at all."""
    return word in MEANINGS or word >> 8 in (0x61, 0x6C) or word >> 4 == 0x63C


def meaning(word: int) -> str:
    """What a status word says, in words; unknown ones say so."""
    if word >> 8 == 0x61:
        return f"{word & 0xFF} more bytes are to be fetched"
    if word >> 8 == 0x6C:
        return f"the right length to ask for is {word & 0xFF}"
    if word >> 4 == 0x63C:
        return f"that was wrong; tries left: {word & 0xF}"
    return MEANINGS.get(word, "a status word that this profile does not know")
