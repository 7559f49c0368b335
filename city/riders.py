"""The city's riders and the cards in their pockets: issued, used, and put back into the drawer."""

from collections.abc import Callable, Sequence

from card.chip.applet import VirtualCard
from card.stock import Personalised
from city.day import ISSUER, Rider
from city.drawer import Chip, Drawer
from city.factory import Factory


class Riders:
    """Cards by number, woken when they are first used."""

    def __init__(self, factory: Factory, drawer: Drawer) -> None:
        self._factory = factory
        self._drawer = drawer
        self._chips = {chip.card_no: chip for chip in drawer.chips()}
        self._awake: dict[str, VirtualCard] = {}

    def issue(self, people: Sequence[Rider], progress: Callable[[str, int, int], None]) -> list[Rider]:
        """Personalise a card for everyone who has none yet; those who got one."""
        new = [rider for rider in people if rider.card_no not in self._chips]
        for done, rider in enumerate(new, 1):
            self._chips[rider.card_no] = self._factory.personalise(
                rider.card_no,
                issuer=rider.issuer,
                holder_class=rider.holder_class,
                balance_fen=0 if rider.issuer == ISSUER else rider.load_fen,
                algorithm=rider.algorithm,
            )
            progress("cards", done, len(new))
        return new

    def personalised(self, card_no: str) -> Personalised:
        """What was written onto a rider's card. Raises KeyError for a number never issued."""
        return self._chips[card_no].personalised

    def card(self, card_no: str) -> VirtualCard:
        """The rider's card, ready for a terminal. Raises KeyError for a number never issued."""
        if card_no not in self._awake:
            self._awake[card_no] = self._factory.awaken(self._chips[card_no])
        return self._awake[card_no]

    def twin(self, card_no: str) -> VirtualCard:
        """A perfect clone of the card as it is now."""
        chip = self._chips[card_no]
        return self._factory.awaken(Chip(card_no, self.card(card_no).state, chip.wrapped_keys))

    def keep(self) -> None:
        """Put every card back into the drawer as it is now."""
        self._drawer.put(
            Chip(
                card_no,
                self._awake[card_no].state if card_no in self._awake else chip.state,
                chip.wrapped_keys,
            )
            for card_no, chip in self._chips.items()
        )

    def balance_fen(self) -> int:
        """What all chips of this city hold together."""
        states = (
            self._awake[card_no].state if card_no in self._awake else chip.state
            for card_no, chip in self._chips.items()
        )
        return sum(state.purse.balance_fen for state in states if state.public[:4] == bytes.fromhex(ISSUER))
