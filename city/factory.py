"""The card factory: blank chips become riders' cards, with keys that the HSM derived and wrapped for it."""

from datetime import date
from pathlib import Path
from random import Random

from card.chip.applet import VirtualCard
from card.chip.files import PublicData
from card.chip.keys import CardKeys, unwrap_card_keys
from card.chip.state import new_state
from card.hsm.client import Hsm
from card.hsm.codec import NEWEST, CardKeyRef
from city.drawer import Chip

STARTS, EXPIRES = date(2017, 1, 1), date(2037, 12, 31)


class Factory:
    """Personalises cards under the transport key that it shares with the HSM, read from `transport_key_file`."""

    def __init__(self, hsm: Hsm, transport_key_file: Path) -> None:
        self._hsm = hsm
        self._transport_key = bytes.fromhex(transport_key_file.read_text())

    def personalise(
        self, card_no: str, *, issuer: str, holder_class: int, balance_fen: int = 0, algorithm: int = 0
    ) -> Chip:
        """A new chip of the suite of `algorithm`: 0 international, 1 national. Its keys are of the newest version of
        the city's roots, which the chip says, and stay wrapped until it is awake.

        Only another city's card comes with a balance.
        """
        keys = self._hsm.card_keys(CardKeyRef.of(issuer, card_no, NEWEST, algorithm))
        public = PublicData(issuer, card_no, holder_class, STARTS, EXPIRES)
        state = new_state(public, balance_fen=balance_fen, key_version=keys.version, algorithm=algorithm)
        return Chip(card_no, state, keys.wrapped)

    def keys_of(self, card: CardKeyRef) -> CardKeys:
        """All keys of a card, the one of those who maintain it included."""
        wrapped, maintenance = self._hsm.card_keys(card).wrapped, self._hsm.card_authentication_key(card)
        return unwrap_card_keys(wrapped, self._transport_key, maintenance.wrapped)

    def awaken(self, chip: Chip) -> VirtualCard:
        """The chip in a terminal's field. Its random numbers follow from its number and counters alone."""
        purse = chip.state.purse
        seed = f"{chip.card_no}:{purse.purchase_sequence}:{purse.load_sequence}"
        keys = unwrap_card_keys(chip.wrapped_keys, self._transport_key)
        return VirtualCard(chip.state, keys, Random(seed).randbytes)
