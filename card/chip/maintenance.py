"""Commands of those who may maintain a card, and its holder's PIN: challenge, authentication, block and unblock.

Who knows the card's authentication key proves it by answering a random number; five wrong answers in a row
lock the key. Blocking and unblocking need that proof within the same session (this project's own profile:
public texts have a MAC over the command instead).
"""

from dataclasses import replace

from card.chip.apdu import Apdu
from card.chip.keys import SUITES, same_mac
from card.chip.session import Chip, Outcome, Session, answered, refused
from card.chip.state import AUTHENTICATION_TRIES, PIN_TRIES, Lock
from card.chip.status import StatusWord, tries_left_are

AUTHENTICATION_KEY = 0x02
"""P2 of EXTERNAL AUTHENTICATE: the key of those who maintain the application."""
CHALLENGE_BYTES = 8
_LOCKS = {0x00: Lock.BLOCKED, 0x01: Lock.FOR_GOOD}


def get_challenge(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """GET CHALLENGE: 8 random bytes, good for one answer."""
    challenge = chip.random(CHALLENGE_BYTES)
    return answered(replace(session, challenge=challenge), challenge)


def external_authenticate(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """EXTERNAL AUTHENTICATE: is this the cryptogram of the challenge given last? 63Cx says what is left."""
    state, challenge = session.state, session.challenge
    used = replace(session, challenge=b"", authenticated=False)
    if chip.keys.authentication is None or command.p2 != AUTHENTICATION_KEY:
        return refused(session, StatusWord.KEY_NOT_FOUND)
    if not state.authentication_tries_left:
        return refused(used, StatusWord.KEY_LOCKED)
    if not challenge:
        return refused(session, StatusWord.CONDITIONS_NOT_SATISFIED)
    right = SUITES[state.algorithm].cryptogram(chip.keys.authentication, challenge)
    if same_mac(right, command.data):
        restored = replace(state, authentication_tries_left=AUTHENTICATION_TRIES)
        return answered(replace(used, state=restored, authenticated=True))
    left = state.authentication_tries_left - 1
    return refused(replace(used, state=replace(state, authentication_tries_left=left)), tries_left_are(left))


def verify(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """VERIFY the holder's PIN; without one on the card there is nothing to verify."""
    state, used = session.state, replace(session, verified=False)
    if not state.pin:
        return refused(session, StatusWord.KEY_NOT_FOUND)
    if not state.pin_tries_left:
        return refused(used, StatusWord.KEY_LOCKED)
    if same_mac(state.pin, command.data):
        return answered(replace(used, state=replace(state, pin_tries_left=PIN_TRIES), verified=True))
    left = state.pin_tries_left - 1
    return refused(replace(used, state=replace(state, pin_tries_left=left)), tries_left_are(left))


def block(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """APPLICATION BLOCK: P2 00 until it is unblocked, 01 for good. What was begun ends."""
    if not session.authenticated:
        return refused(session, StatusWord.SECURITY_NOT_SATISFIED)
    return answered(session.settled(replace(session.state, lock=_LOCKS[command.p2])))


def unblock(session: Session, chip: Chip, command: Apdu) -> Outcome:
    """APPLICATION UNBLOCK."""
    if not session.authenticated:
        return refused(session, StatusWord.SECURITY_NOT_SATISFIED)
    return answered(session.settled(replace(session.state, lock=Lock.OPEN)))
