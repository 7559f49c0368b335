"""What a factory says it has written onto blanks, for tests of what becomes of cards afterwards."""

from datetime import date

from card.stock import Personalised


def written(card_no: str, *, key_version: int = 1, algorithm: int = 0) -> Personalised:
    """A card valid through all that the tests are about."""
    return Personalised(card_no, key_version, algorithm, date(2017, 1, 1), date(2037, 12, 31))
