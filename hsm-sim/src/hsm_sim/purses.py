"""What the e-purse asks of the HSM, one card at a time, in the suite that the card says is its own.

`keys` of every handler are the fields `version`, `algorithm`, `issuer` and `card`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest

from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from hsm_sim.box import Answer, Box, compared
from hsm_sim.keys import NEWEST, Usage
from hsm_sim.suites import SUITES, Root, Suite
from hsm_sim.wire import ErrorCode


@dataclass(frozen=True, slots=True)
class CardKey:
    """One of a card's keys, and the suite in which it serves."""

    suite: Suite
    key: bytes = field(repr=False)


def purchase_mac1(
    box: Box, *, rnd: bytes, counter: bytes, amount: bytes, kind: bytes, terminal: bytes, date: bytes,
    time: bytes, terminal_sequence: bytes, **keys: bytes,
) -> Answer:  # fmt: skip
    """E0: the SAM's MAC1, by which a card knows a terminal of this city."""
    found = _card_key(box, Root.PURCHASE, **keys)
    if isinstance(found, ErrorCode):
        return found
    session = found.suite.purchase_session_key(found.key, rnd, counter, terminal_sequence)
    return found.suite.mac(session, amount + kind + terminal + date + time)


def verify_purchase_mac2(
    box: Box,
    *,
    rnd: bytes,
    counter: bytes,
    terminal_sequence: bytes,
    amount: bytes,
    mac2: bytes,
    **keys: bytes,
) -> Answer:
    """E2: whether the card that answered DEBIT holds the city's key."""
    found = _card_key(box, Root.PURCHASE, **keys)
    if isinstance(found, ErrorCode):
        return found
    session = found.suite.purchase_session_key(found.key, rnd, counter, terminal_sequence)
    return compared(found.suite.mac(session, amount), mac2)


def authorise_load(
    box: Box, *, rnd: bytes, counter: bytes, balance: bytes, amount: bytes, kind: bytes, terminal: bytes,
    date: bytes, time: bytes, mac1: bytes, **keys: bytes,
) -> Answer:  # fmt: skip
    """E4: verify the card's MAC1, and only then make the MAC2 that loads it."""
    found = _card_key(box, Root.LOAD, **keys)
    if isinstance(found, ErrorCode):
        return found
    session = found.suite.load_session_key(found.key, rnd, counter)
    if not compare_digest(found.suite.mac(session, balance + amount + kind + terminal), mac1):
        return ErrorCode.VERIFICATION_FAILED
    return found.suite.mac(session, amount + kind + terminal + date + time)


def verify_purchase_tac(
    box: Box, *, amount: bytes, kind: bytes, terminal: bytes, terminal_sequence: bytes, date: bytes,
    time: bytes, tac: bytes, **keys: bytes,
) -> Answer:  # fmt: skip
    """E6: whether the card made this purchase."""
    found = _card_key(box, Root.TAC, **keys)
    return _tac_compared(found, amount + kind + terminal + terminal_sequence + date + time, tac)


def verify_load_tac(
    box: Box, *, new_balance: bytes, counter: bytes, amount: bytes, kind: bytes, terminal: bytes, date: bytes,
    time: bytes, tac: bytes, **keys: bytes,
) -> Answer:  # fmt: skip
    """E8: whether the card took this load."""
    found = _card_key(box, Root.TAC, **keys)
    return _tac_compared(found, new_balance + counter + amount + kind + terminal + date + time, tac)


def authentication_cryptogram(box: Box, *, challenge: bytes, **keys: bytes) -> Answer:
    """EA: what EXTERNAL AUTHENTICATE sends, by which a card knows who may maintain it."""
    found = _card_key(box, Root.AUTHENTICATION, **keys)
    return found if isinstance(found, ErrorCode) else found.suite.cryptogram(found.key, challenge)


def personalisation_keys(box: Box, *, transport_version: bytes, **keys: bytes) -> Answer:
    """F2: the version, a card's three keys of it wrapped for personalisation (RFC 3394), their check values."""
    return _wrapped(box, (Root.PURCHASE, Root.LOAD, Root.TAC), transport_version, keys)


def authentication_key(box: Box, *, transport_version: bytes, **keys: bytes) -> Answer:
    """F4: the version, a card's authentication key of it wrapped likewise, and its check value."""
    return _wrapped(box, (Root.AUTHENTICATION,), transport_version, keys)


def _wrapped(
    box: Box, roots: tuple[Root, ...], transport_version: bytes, keys: Mapping[str, bytes]
) -> Answer:
    version = _one_version(box, roots, keys["version"], keys["algorithm"])
    if isinstance(version, ErrorCode):
        return version
    keys = {**keys, "version": version}
    derived = []
    for root in roots:
        found = _card_key(box, root, **keys)
        if isinstance(found, ErrorCode):
            return found
        derived.append(found)
    transport = box.keys.find(Usage.TRANSPORT, transport_version[0])
    if transport is None:
        return ErrorCode.KEY_UNKNOWN
    checks = (found.suite.check_value(found.key) for found in derived)
    return version + aes_key_wrap(transport, b"".join(found.key for found in derived)) + b"".join(checks)


def _one_version(box: Box, roots: tuple[Root, ...], version: bytes, algorithm: bytes) -> bytes | ErrorCode:
    """The version asked for, or the newest: a card has one for all its keys, so it must be the newest of each."""
    suite = SUITES.get(algorithm)
    if suite is None:
        return ErrorCode.ALGORITHM_UNSUPPORTED
    if version[0] != NEWEST:
        return version
    newest = {box.keys.newest(suite.roots[root]) for root in roots}
    return bytes(newest) if len(newest) == 1 and NEWEST not in newest else ErrorCode.KEY_UNKNOWN


def _card_key(
    box: Box, root: Root, *, version: bytes, algorithm: bytes, issuer: bytes, card: bytes
) -> CardKey | ErrorCode:
    suite = SUITES.get(algorithm)
    if suite is None:
        return ErrorCode.ALGORITHM_UNSUPPORTED
    key = box.keys.find(suite.roots[root], version[0])
    return ErrorCode.KEY_UNKNOWN if key is None else CardKey(suite, suite.card_key(key, issuer, card))


def _tac_compared(found: CardKey | ErrorCode, message: bytes, tac: bytes) -> bytes | ErrorCode:
    if isinstance(found, ErrorCode):
        return found
    return compared(found.suite.mac(found.suite.tac_key(found.key), message), tac)
