"""The two suites of algorithms that cards come in, by the algorithm byte with which a card says which is its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from hsm_sim import epurse, sm4
from hsm_sim.keys import Usage, sm4_check_value


class Root(Enum):
    """What the keys that come from a root are for."""

    PURCHASE = auto()
    LOAD = auto()
    TAC = auto()
    AUTHENTICATION = auto()


@dataclass(frozen=True, slots=True)
class Suite:
    """The usages of a suite's roots, and what is computed with the keys that come from them.

    Every function takes the key first: `card_key(root, issuer 8, card 8)`, `purchase_session_key(key, rnd 4,
    counter 2, terminal sequence 4)`, `load_session_key(key, rnd 4, counter 2)`, `mac(key, message)`,
    `cryptogram(key, challenge 8)`; `tac_key(key)` is the key that TACs are made with, `check_value(key)` three
    bytes that tell keys apart.
    """

    roots: Mapping[Root, Usage]
    card_key: Callable[[bytes, bytes, bytes], bytes]
    purchase_session_key: Callable[[bytes, bytes, bytes, bytes], bytes]
    load_session_key: Callable[[bytes, bytes, bytes], bytes]
    mac: Callable[[bytes, bytes], bytes]
    tac_key: Callable[[bytes], bytes]
    cryptogram: Callable[[bytes, bytes], bytes]
    check_value: Callable[[bytes], bytes]


INTERNATIONAL = Suite(
    MappingProxyType(
        {
            Root.PURCHASE: Usage.PURCHASE_ROOT,
            Root.LOAD: Usage.LOAD_ROOT,
            Root.TAC: Usage.TAC_ROOT,
            Root.AUTHENTICATION: Usage.AUTHENTICATION_ROOT,
        }
    ),
    epurse.card_key,
    epurse.purchase_session_key,
    epurse.load_session_key,
    epurse.mac,
    epurse.tac_key,
    epurse.triple_des,
    epurse.check_value,
)
"""3DES for keys, single DES for MACs."""

NATIONAL = Suite(
    MappingProxyType(
        {
            Root.PURCHASE: Usage.SM4_PURCHASE_ROOT,
            Root.LOAD: Usage.SM4_LOAD_ROOT,
            Root.TAC: Usage.SM4_TAC_ROOT,
            Root.AUTHENTICATION: Usage.SM4_AUTHENTICATION_ROOT,
        }
    ),
    sm4.card_key,
    sm4.purchase_session_key,
    sm4.load_session_key,
    sm4.mac,
    bytes,
    sm4.cryptogram,
    sm4_check_value,
)
"""SM4 throughout; TACs are made with a card's TAC key itself."""


def forget_derived_keys() -> None:
    """Drop what is kept ready of keys: for an HSM that is to hold none any more."""
    epurse.diversify.cache_clear()
    sm4.diversify.cache_clear()


SUITES: Mapping[bytes, Suite] = MappingProxyType({b"\x00": INTERNATIONAL, b"\x01": NATIONAL})
"""The suites by the field `algorithm`."""
