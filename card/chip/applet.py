"""The card itself: command bytes in, answer bytes out.

Every command is judged in the same order: class, instruction, P1 and P2, lengths, the state table, then what
it is about. Its whole effect is one value, put in place at once: a card torn out of the field has either
done a command or not, never half of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from card.chip import maintenance, reading, transaction
from card.chip.apdu import Answer, Apdu, ApduError, Instruction
from card.chip.keys import CardKeys
from card.chip.phases import Phase, admitted, unknown
from card.chip.session import Chip, Handler, Session
from card.chip.state import CardState
from card.chip.status import StatusWord


@dataclass(frozen=True, slots=True)
class Form:
    """What a command must look like, and who does it.

    `parameters` are the legal pairs of P1 and P2, `data_bytes` is Lc, `answer_bytes` what Le may ask for by
    P1; None leaves it to the handler, whose answer depends on more.
    """

    handler: Handler
    parameters: frozenset[tuple[int, int]] | None = None
    data_bytes: int | None = None
    answer_bytes: Mapping[int, int] | None = None


_SHARES = frozenset((share, 2) for share in range(4))
FORMS: Mapping[int, Form] = {
    Instruction.SELECT: Form(reading.select, frozenset({(4, 0), (0, 0)})),
    Instruction.VERIFY: Form(maintenance.verify, frozenset({(0, 0)})),
    Instruction.GET_CHALLENGE: Form(maintenance.get_challenge, frozenset({(0, 0)}), 0, {0: 8}),
    Instruction.EXTERNAL_AUTHENTICATE: Form(
        maintenance.external_authenticate, frozenset((0, key) for key in range(256)), 8
    ),
    Instruction.APPLICATION_BLOCK: Form(maintenance.block, frozenset({(0, 0), (0, 1)}), 0),
    Instruction.APPLICATION_UNBLOCK: Form(maintenance.unblock, frozenset({(0, 0)}), 0),
    Instruction.READ_BINARY: Form(reading.read_binary, None, 0),
    Instruction.READ_RECORD: Form(reading.read_record, None, 0),
    Instruction.GET_BALANCE: Form(reading.get_balance, _SHARES, 0, dict.fromkeys(range(4), 4)),
    Instruction.INITIALIZE: Form(
        transaction.initialize, frozenset({(0, 2), (1, 2), (3, 2)}), 11, {0: 16, 1: 15, 3: 15}
    ),
    Instruction.UPDATE_CAPP_DATA_CACHE: Form(transaction.update_cache),
    Instruction.DEBIT_FOR_PURCHASE: Form(transaction.debit, frozenset({(1, 0)}), 15, {1: 8}),
    Instruction.CREDIT_FOR_LOAD: Form(transaction.credit, frozenset({(0, 0)}), 11, {0: 4}),
    Instruction.GET_TRANSACTION_PROVE: Form(
        transaction.prove, frozenset((0, kind) for kind in range(256)), 2, {0: 8}
    ),
}
"""Every instruction the card knows."""


class VirtualCard:
    """A card in a terminal's field. `random` gives n random bytes; it and the keys are all the card needs.

    Where it has a memory that outlives it, `keep` puts each new state there, before anything is answered.
    """

    def __init__(
        self,
        state: CardState,
        keys: CardKeys,
        random: Callable[[int], bytes],
        keep: Callable[[CardState], None] | None = None,
    ) -> None:
        self._session = Session(state)
        self._keep = keep
        self._chip = Chip(keys, random)

    @property
    def state(self) -> CardState:
        """What the card would remember if it left the field now."""
        return self._session.state

    @property
    def phase(self) -> Phase:
        """What the card is in the middle of."""
        return self._session.phase

    def reset(self) -> None:
        """Power off and on again: a transaction begun is forgotten, and nothing is selected."""
        self._session = Session(self._session.state)

    def transmit(self, apdu: bytes) -> bytes:
        """Do one command whole, or refuse it: data and status word. It raises nothing but what `keep` raises."""
        try:
            command = Apdu.unpack(apdu)
        except ApduError:
            return Answer(b"", StatusWord.WRONG_LENGTH).pack()
        word = _judge(command, self._session.phase)
        if word != StatusWord.DONE:
            return Answer(b"", word).pack()
        session, answer = FORMS[command.code].handler(self._session, self._chip, command)
        if self._keep is not None and session.state != self._session.state:
            self._keep(session.state)
        self._session = session
        return answer.pack()


def _judge(command: Apdu, phase: Phase) -> StatusWord:
    form = FORMS.get(command.code)
    if form is None:
        return unknown(command)
    if form.parameters is not None and (command.p1, command.p2) not in form.parameters:
        return StatusWord.WRONG_P1_P2
    if form.data_bytes is not None and len(command.data) != form.data_bytes:
        return StatusWord.WRONG_LENGTH
    if form.answer_bytes is not None and command.le not in (None, 256, form.answer_bytes[command.p1]):
        return StatusWord.WRONG_LENGTH
    return admitted(phase, Instruction(command.code))
