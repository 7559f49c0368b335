"""The state table: which command is legal when, for cards and for SAMs. Everything else is refused."""

from collections.abc import Mapping
from enum import StrEnum

from card.chip.apdu import Apdu, Instruction
from card.chip.records import Kind
from card.chip.status import StatusWord

CLASSES = frozenset({0x00, 0x80})


class Phase(StrEnum):
    """What a card is in the middle of. Power takes it back to BLANK, UNSELECTED or, for good, LOCKED."""

    BLANK = "blank"
    UNSELECTED = "unselected"
    SELECTED = "selected"
    LOADING = "loading"
    PURCHASING = "purchasing"
    CAPP_PURCHASING = "capp_purchasing"
    BLOCKED = "blocked"
    LOCKED = "locked"


class SamPhase(StrEnum):
    """What a SAM is in the middle of. Power takes it back to EMPTY, or READY once it is in service."""

    EMPTY = "empty"
    READY = "ready"
    AWAITING_MAC2 = "awaiting_mac2"


_ANYWHERE = frozenset({Instruction.SELECT})
_MAINTENANCE = frozenset({Instruction.GET_CHALLENGE, Instruction.EXTERNAL_AUTHENTICATE})
_SELECTED = (
    _ANYWHERE
    | _MAINTENANCE
    | {
        Instruction.READ_BINARY,
        Instruction.READ_RECORD,
        Instruction.GET_BALANCE,
        Instruction.INITIALIZE,
        Instruction.GET_TRANSACTION_PROVE,
        Instruction.VERIFY,
        Instruction.APPLICATION_BLOCK,
    }
)
LEGAL: Mapping[Phase, frozenset[Instruction]] = {
    Phase.BLANK: _ANYWHERE | {Instruction.STORE_DATA},
    Phase.UNSELECTED: _ANYWHERE,
    Phase.SELECTED: _SELECTED,
    Phase.LOADING: _SELECTED | {Instruction.CREDIT_FOR_LOAD},
    Phase.PURCHASING: _SELECTED | {Instruction.DEBIT_FOR_PURCHASE},
    Phase.CAPP_PURCHASING: _SELECTED | {Instruction.DEBIT_FOR_PURCHASE, Instruction.UPDATE_CAPP_DATA_CACHE},
    Phase.BLOCKED: _ANYWHERE | _MAINTENANCE | {Instruction.APPLICATION_UNBLOCK},
    Phase.LOCKED: _ANYWHERE,
}
"""Reading leaves a transaction begun; a new one replaces it. A blocked application can only be unblocked."""

_SAM = frozenset({Instruction.READ_BINARY, Instruction.INIT_SAM_FOR_PURCHASE})
SAM_LEGAL: Mapping[SamPhase, frozenset[Instruction]] = {
    SamPhase.EMPTY: frozenset({Instruction.LOAD_COMPONENT, Instruction.ACTIVATE_SAM}),
    SamPhase.READY: _SAM,
    SamPhase.AWAITING_MAC2: _SAM | {Instruction.CREDIT_SAM_FOR_PURCHASE},
}
"""Keys go only into a SAM that is not yet in service."""

PHASE_OF_KIND: Mapping[int, Phase] = {
    Kind.LOAD: Phase.LOADING,
    Kind.PURCHASE: Phase.PURCHASING,
    Kind.CAPP_PURCHASE: Phase.CAPP_PURCHASING,
}

_REFUSALS: Mapping[Phase | SamPhase, StatusWord] = {
    Phase.BLANK: StatusWord.CONDITIONS_NOT_SATISFIED,
    Phase.UNSELECTED: StatusWord.CONDITIONS_NOT_SATISFIED,
    Phase.BLOCKED: StatusWord.FUNCTION_NOT_SUPPORTED,
    Phase.LOCKED: StatusWord.LOCKED_FOR_GOOD,
    SamPhase.EMPTY: StatusWord.CONDITIONS_NOT_SATISFIED,
}
"""How a phase refuses what it does not let through, where that is not "not in this state"."""


def admitted(phase: Phase | SamPhase, instruction: Instruction) -> StatusWord:
    """DONE where the state table lets the command through, else the word that refuses it."""
    if instruction in (SAM_LEGAL[phase] if isinstance(phase, SamPhase) else LEGAL[phase]):
        return StatusWord.DONE
    return _REFUSALS.get(phase, StatusWord.NOT_IN_THIS_STATE)


def unknown(command: Apdu) -> StatusWord:
    """The word for an instruction that this chip does not know, or whose very class it does not."""
    return StatusWord.INSTRUCTION_UNKNOWN if command.cla in CLASSES else StatusWord.CLASS_UNKNOWN
