"""The counter where cards are loaded: card, load office, card again, and the proof to the office."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from card.chip import commands
from card.chip.commands import AnswerError
from card.chip.files import FileError, PublicData
from card.chip.records import Kind
from card.chip.status import StatusWord
from clearing.wire.bcd import CITY_ZONE, pack_moment
from terminals.hotlist import Hotlist
from terminals.loads import LoadJournal, LoadOffice, LoadReceipt, LoadRequest, OfficeGone
from terminals.reader import CardGone, Transmits

KIND = int(Kind.LOAD)
MOST_FEN = 100_000
"""An anonymous card holds at most 1,000 yuan."""


class LoadRefusal(StrEnum):
    """Why a load was not made, in order of precedence. After UNFINISHED, TORN and OFFICE_GONE: come again."""

    UNREADABLE = "unreadable"
    HOTLISTED = "hotlisted"
    NOT_VALID = "not_valid"
    AMOUNT = "amount"
    BALANCE_TOO_HIGH = "balance_too_high"
    UNFINISHED = "unfinished"
    NOT_AUTHORISED = "not_authorised"
    OFFICE_GONE = "office_gone"
    CARD_REFUSED = "card_refused"
    TORN = "torn"


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """The load made now, or why not. `recovered` is an earlier torn load whose proof has come to light."""

    refusal: LoadRefusal | None
    receipt: LoadReceipt | None = None
    recovered: LoadReceipt | None = None


class _Refused(Exception):
    """Ends the dialogue inside this module; it leaves as a value, in the LoadOutcome."""

    def __init__(self, refusal: LoadRefusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class LoadCounter:
    """A load terminal: its number (12 hex characters), its durable journal, and the office it asks."""

    def __init__(
        self,
        terminal: str,
        journal: LoadJournal,
        office: LoadOffice,
        hotlist: Hotlist,
        *,
        most_fen: int = MOST_FEN,
    ) -> None:
        self.hotlist = hotlist
        self._terminal = terminal
        self._journal = journal
        self._office = office
        self._most_fen = most_fen

    def load(self, card: Transmits, amount_fen: int, *, at: datetime) -> LoadOutcome:
        """Load `amount_fen` onto the card, once: a load torn before is proven first and is not made again.

        Where the earlier load turns out to be made, with the same amount, it is this one: nothing is added.
        """
        recovered: LoadReceipt | None = None
        try:
            public = self._read(card, amount_fen, at)
            recovered = self._recover(card, public.card_no)
            if recovered is not None and recovered.request.amount_fen == amount_fen:
                return LoadOutcome(None, recovered, recovered)
            request = self._offer(card, public, amount_fen, at)
            receipt = self._credit(card, request)
        except _Refused as refused:
            return LoadOutcome(refused.refusal, recovered=recovered)
        except FileError:
            return LoadOutcome(LoadRefusal.UNREADABLE)
        except (CardGone, AnswerError):
            return LoadOutcome(LoadRefusal.TORN, recovered=recovered)
        except OfficeGone:
            return LoadOutcome(LoadRefusal.OFFICE_GONE, recovered=recovered)
        self.confirm_outstanding()
        return LoadOutcome(None, receipt, recovered)

    def confirm_outstanding(self) -> int:
        """Tell the office of every load that it does not know of yet; the number told before it went away."""
        told = 0
        for receipt in self._journal.unconfirmed():
            try:
                self._office.confirm(receipt)
            except OfficeGone:
                break  # The receipts are durable and go out at the next call.
            self._journal.confirm(receipt)
            told += 1
        return told

    def _read(self, card: Transmits, amount_fen: int, at: datetime) -> PublicData:
        fci = commands.parse_select(card.transmit(commands.select()))
        if isinstance(fci, commands.Refusal):
            raise _Refused(LoadRefusal.UNREADABLE)
        public, day = PublicData.unpack(fci.public), at.astimezone(CITY_ZONE).date()
        if public.card_no in self.hotlist.cards:
            raise _Refused(LoadRefusal.HOTLISTED)
        if not public.starts <= day <= public.expires:
            raise _Refused(LoadRefusal.NOT_VALID)
        if not 0 < amount_fen <= self._most_fen:
            raise _Refused(LoadRefusal.AMOUNT)
        return public

    def _recover(self, card: Transmits, card_no: str) -> LoadReceipt | None:
        """The proof of a load whose answer never came, if the card has it."""
        if (begun := self._journal.begun(card_no)) is None:
            return None
        asked = commands.transaction_prove(begun.kind, begun.counter + 1)
        proof = commands.parse_prove(card.transmit(asked))
        if isinstance(proof, commands.Refusal):
            return None
        receipt = LoadReceipt(begun, proof.tac)
        self._journal.prove(receipt)
        self.confirm_outstanding()
        return receipt

    def _offer(self, card: Transmits, public: PublicData, amount_fen: int, at: datetime) -> LoadRequest:
        """INITIALIZE FOR LOAD; its counter also tells what became of a load begun before."""
        asked = commands.init_load(amount_fen, bytes.fromhex(self._terminal))
        offer = commands.parse_init_load(card.transmit(asked))
        if isinstance(offer, commands.Refusal):
            raise _Refused(LoadRefusal.CARD_REFUSED)
        if offer.balance_fen + amount_fen > self._most_fen:
            raise _Refused(LoadRefusal.BALANCE_TOO_HIGH)
        begun = self._journal.begun(public.card_no)
        ordered_at = pack_moment(at)
        if begun is not None and begun.counter != offer.sequence:
            self._journal.lose(begun)
        elif begun is not None and begun.amount_fen != amount_fen:
            # The office may have taken that amount already; the same reference must not mean two amounts.
            raise _Refused(LoadRefusal.UNFINISHED)
        elif begun is not None:
            ordered_at = begun.ordered_at
        return LoadRequest(
            card_no=public.card_no, issuer=public.issuer, key_version=offer.key_version,
            algorithm=offer.algorithm, rnd=offer.rnd, counter=offer.sequence, balance_fen=offer.balance_fen,
            amount_fen=amount_fen, kind=KIND, terminal=self._terminal, moment=pack_moment(at),
            mac1=offer.mac1, ordered_at=ordered_at,
        )  # fmt: skip

    def _credit(self, card: Transmits, request: LoadRequest) -> LoadReceipt:
        """Ask the office, then the card; a load begun stays so until one of them says how it ended."""
        again = self._journal.begun(request.card_no) is not None
        if not self._journal.begin(request):
            raise _Refused(LoadRefusal.CARD_REFUSED)
        mac2 = self._office.authorise(request)
        if mac2 is None:
            # After an earlier attempt the office may hold money for this load; then it stays in the journal.
            if not again:
                self._journal.drop(request)
            raise _Refused(LoadRefusal.NOT_AUTHORISED)
        tac = commands.parse_credit(card.transmit(commands.credit_load(request.moment, mac2)))
        if isinstance(tac, commands.Refusal):
            # The office has taken the money: the load stays begun, and the next attempt makes it.
            raise _Refused(
                LoadRefusal.TORN if tac.word == StatusWord.MEMORY_FAILURE else LoadRefusal.CARD_REFUSED
            )
        receipt = LoadReceipt(request, tac)
        self._journal.prove(receipt)
        return receipt
