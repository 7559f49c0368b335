"""T=0, the older of the two transport protocols, in which an answer may have to be fetched by a command of its own.

A card on it answers a command with data and an expected answer by `61xx`, and GET RESPONSE fetches the `xx`
bytes; an Le that is not right is answered by `6Cxx` with the right one (ISO 7816-3 clause 12, 7816-4 clause
5.3.4). Both sides are here: what a card puts between itself and the reader, and what a terminal does about it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from card.chip.apdu import Answer, Apdu, ApduError, Instruction
from card.chip.status import StatusWord, right_length_is

MORE, WRONG_LE = 0x61, 0x6C
LONGEST_CHAIN = 16
"""Answers that a terminal goes on fetching; no card of ours has any of more than two parts."""


class Inserted(Protocol):
    """What can lie in a reader's slot, as the reader sees it."""

    def transmit(self, apdu: bytes) -> bytes:
        """One command: data and status word, the answer whole."""
        ...

    def reset(self) -> None:
        """Power goes off, or the reader resets the card."""
        ...


class T0Card:
    """A card as T=0 shows it: the answer to a command that carried data waits to be fetched."""

    def __init__(self, card: Inserted) -> None:
        self._card = card
        self._waiting = b""

    def reset(self) -> None:
        """Power off and on again: what waited is gone."""
        self._waiting = b""
        self._card.reset()

    def transmit(self, apdu: bytes) -> bytes:
        """Do one command, or hand out what waits; whatever else is asked, that is gone."""
        waiting, self._waiting = self._waiting, b""
        try:
            command = Apdu.unpack(apdu)
        except ApduError:
            return self._card.transmit(apdu)
        if command.code == Instruction.GET_RESPONSE:
            return self._fetched(waiting, command)
        raw = self._card.transmit(apdu)
        answer = Answer.unpack(raw)
        if answer.word != StatusWord.DONE or not answer.data:
            return raw
        if command.data:
            self._waiting = answer.data
            return Answer(b"", MORE << 8 | len(answer.data) & 0xFF).pack()
        if command.le == 256 and len(answer.data) < 256:
            return Answer(b"", right_length_is(len(answer.data))).pack()
        return raw

    def _fetched(self, waiting: bytes, command: Apdu) -> bytes:
        if not waiting:
            return Answer(b"", StatusWord.CONDITIONS_NOT_SATISFIED).pack()
        if command.le not in (len(waiting), len(waiting) & 0xFF):
            self._waiting = waiting
            return Answer(b"", right_length_is(len(waiting))).pack()
        return Answer(waiting, StatusWord.DONE).pack()


def whole_answer(send: Callable[[bytes], bytes], apdu: bytes, *, strip_le: bool) -> bytes:
    """Send a command and fetch the answer whole, whatever the card says of lengths in between.

    `strip_le` is for T=0, where a command with data carries no Le.
    """
    try:
        command = Apdu.unpack(apdu)
    except ApduError:
        return send(apdu)
    first = replace(command, le=None).pack() if strip_le and command.data else apdu
    answer = Answer.unpack(send(first))
    data = b""
    for _ in range(LONGEST_CHAIN):
        high, low = answer.word >> 8, answer.word & 0xFF
        data += answer.data
        if high == WRONG_LE and not data and not command.data:
            answer = Answer.unpack(send(replace(command, le=low or 256).pack()))
        elif high == MORE:
            answer = Answer.unpack(send(Apdu(0x00, 0xC0, 0x00, 0x00, le=low or 256).pack()))
        else:
            break
    else:
        return Answer(b"", answer.word).pack()
    return Answer(data, answer.word).pack()
