"""The counter where cards are loaded: card, load office, card again, and the proof to the office.

A load that was begun here or elsewhere and not finished waits at the office: any counter that has the card
can find out what became of it, write it, or have it given back.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from card.chip import commands
from card.chip.commands import AnswerError
from card.chip.files import FileError, PublicData
from card.chip.records import PURSE_LOG_SFI, Kind, PurseRecord, RecordError
from card.chip.status import StatusWord
from clearing.wire.bcd import CITY_ZONE, pack_moment
from terminals.hotlist import Hotlist
from terminals.loads import (
    Decline,
    Declined,
    LoadJournal,
    LoadOffice,
    LoadReceipt,
    LoadRequest,
    OfficeGone,
    Waiting,
)
from terminals.reader import CardGone, Transmits

KIND = int(Kind.LOAD)
MOST_FEN = 100_000
"""An anonymous card holds at most 1,000 yuan: no counter loads beyond that, and so no till sells for more.

The night holds what tills sold to the same (clearing/rules/70_bounds.sql), and a centre's taps of our cards
(clearing/interop/centres.py): neither room can import this one, so a test holds the three together.
"""


class LoadRefusal(StrEnum):
    """Why it was not done, in order of precedence. After UNFINISHED, TORN and OFFICE_GONE: come again."""

    UNREADABLE = "unreadable"
    HOTLISTED = "hotlisted"
    NOT_VALID = "not_valid"
    AMOUNT = "amount"
    NOTHING_WAITS = "nothing_waits"
    ALREADY_MADE = "already_made"
    BALANCE_TOO_HIGH = "balance_too_high"
    UNFINISHED = "unfinished"
    RETURNED = "returned"
    NOT_AUTHORISED = "not_authorised"
    OFFICE_GONE = "office_gone"
    CARD_REFUSED = "card_refused"
    TORN = "torn"
    UNPROVED = "unproved"


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """The load made now, or why not. `recovered` is an earlier torn load whose proof has come to light.

    `detail` is what the office or the card said to a refusal, where they said something.
    """

    refusal: LoadRefusal | None
    receipt: LoadReceipt | None = None
    recovered: LoadReceipt | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CardOnReader:
    """The card in the field as the counter sees it, with the loads that wait for it; or why it is not read."""

    refusal: LoadRefusal | None
    public: PublicData | None = None
    balance_fen: int = 0
    waiting: tuple[Waiting, ...] = ()
    detail: str = ""


class _Refused(Exception):
    """Ends the dialogue inside this module; it leaves as a value, in the outcome."""

    def __init__(self, refusal: LoadRefusal, detail: str = "") -> None:
        super().__init__(refusal.value)
        self.refusal, self.detail = refusal, detail


_BY_OFFICE = {
    Decline.UNFINISHED: LoadRefusal.UNFINISHED,
    Decline.RETURNED: LoadRefusal.RETURNED,
    Decline.PROVED: LoadRefusal.ALREADY_MADE,
}


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
            public = self._usable(card, at)
            if not 0 < amount_fen <= self._most_fen:
                raise _Refused(LoadRefusal.AMOUNT)
            recovered = self._recover(card, public.card_no)
            if recovered is not None and recovered.request.amount_fen == amount_fen:
                return LoadOutcome(None, recovered, recovered)
            receipt = self._credit(card, self._begin(card, public, amount_fen, at))
        except (_Refused, FileError, CardGone, AnswerError, OfficeGone) as error:
            return replace(_outcome(error), recovered=recovered)
        return self._finished(receipt, recovered)

    def look(self, card: Transmits, *, at: datetime) -> CardOnReader:
        """Who the card is, what it holds and what waits for it, after finding out what is on it already."""
        try:
            public = self._present(card)
            held = commands.parse_balance(card.transmit(commands.get_balance()))
            if isinstance(held, commands.Refusal):
                raise _Refused(LoadRefusal.UNREADABLE, str(held))
            self.confirm_outstanding()
            for one in self._office.waiting(public.card_no):
                if one.last is not None:
                    self._settled(card, one, self._ask(card, public, one, at))
            waiting = tuple(self._office.waiting(public.card_no))
        except (_Refused, FileError, CardGone, AnswerError, OfficeGone) as error:
            refused = _outcome(error)
            return CardOnReader(refused.refusal, detail=refused.detail)
        return CardOnReader(None, public, held, waiting)

    def complete(self, card: Transmits, reference: str, *, at: datetime) -> LoadOutcome:
        """Write a load that waits for this card onto it, wherever it was paid or begun."""
        try:
            public = self._usable(card, at)
            waiting, request = self._take_up(card, public, reference, at)
            if request.balance_fen + waiting.amount_fen > self._most_fen:
                raise _Refused(LoadRefusal.BALANCE_TOO_HIGH)
            self._forget_begun(public.card_no)
            receipt = self._credit(card, request)
        except (_Refused, FileError, CardGone, AnswerError, OfficeGone) as error:
            return _outcome(error)
        return self._finished(receipt, None)

    def give_back(self, card: Transmits, reference: str, *, at: datetime) -> LoadOutcome:
        """Have a load that waits for this card given back to who paid it, once the card shows it has it not.

        The card may be hotlisted or past its day: its word that it has not taken the money is as good.
        """
        try:
            public = self._present(card)
            waiting, request = self._take_up(card, public, reference, at)
            declined = self._office.give_back(request, waiting.attempts)
            if declined is not None:
                raise _declined(declined)
            self._forget_begun(public.card_no)
        except (_Refused, FileError, CardGone, AnswerError, OfficeGone) as error:
            return _outcome(error)
        return LoadOutcome(None)

    def confirm_outstanding(self) -> int:
        """Tell the office of every load that it does not know of yet; the number told before it went away."""
        told = 0
        for receipt in self._journal.unconfirmed():
            try:
                declined = self._office.confirm(receipt)
            except OfficeGone:
                break  # The receipts are durable and go out at the next call.
            if declined is None:
                self._journal.confirm(receipt)
            else:
                self._journal.lose(receipt.request)
            told += 1
        return told

    def _finished(self, receipt: LoadReceipt, recovered: LoadReceipt | None) -> LoadOutcome:
        self.confirm_outstanding()
        if receipt.request in self._journal.lost():
            return LoadOutcome(LoadRefusal.UNPROVED, recovered=recovered)
        return LoadOutcome(None, receipt, recovered)

    def _present(self, card: Transmits) -> PublicData:
        fci = commands.parse_select(card.transmit(commands.select()))
        if isinstance(fci, commands.Refusal):
            raise _Refused(LoadRefusal.UNREADABLE, str(fci))
        return PublicData.unpack(fci.public)

    def _usable(self, card: Transmits, at: datetime) -> PublicData:
        public, day = self._present(card), at.astimezone(CITY_ZONE).date()
        if public.card_no in self.hotlist.cards:
            raise _Refused(LoadRefusal.HOTLISTED)
        if not public.starts <= day <= public.expires:
            raise _Refused(LoadRefusal.NOT_VALID)
        return public

    def _recover(self, card: Transmits, card_no: str) -> LoadReceipt | None:
        """The proof of a load whose answer never came, if the card has it."""
        if (begun := self._journal.begun(card_no)) is None:
            return None
        asked = commands.transaction_prove(begun.kind, begun.counter + 1)
        proof = commands.parse_prove(card.transmit(asked))
        if isinstance(proof, commands.Refusal):
            return None
        if not _made_here(card, begun):
            # Another counter finished it, or made another load in its place: that one has told the office.
            self._journal.lose(begun)
            return None
        receipt = LoadReceipt(begun, proof.tac)
        self._journal.prove(receipt)
        self.confirm_outstanding()
        return None if begun in self._journal.lost() else receipt

    def _begin(self, card: Transmits, public: PublicData, amount_fen: int, at: datetime) -> LoadRequest:
        """INITIALIZE FOR LOAD; its counter also tells what became of a load begun before."""
        request = self._offered(card, public, amount_fen, at)
        if request.balance_fen + amount_fen > self._most_fen:
            raise _Refused(LoadRefusal.BALANCE_TOO_HIGH)
        begun = self._journal.begun(public.card_no)
        if begun is None:
            return request
        if begun.counter != request.counter:
            self._journal.lose(begun)
            return request
        if begun.amount_fen != amount_fen:
            # The office may have taken that amount already; the same reference must not mean two amounts.
            raise _Refused(LoadRefusal.UNFINISHED)
        return replace(request, ordered_at=begun.ordered_at, order=begun.order)

    def _take_up(
        self, card: Transmits, public: PublicData, reference: str, at: datetime
    ) -> tuple[Waiting, LoadRequest]:
        """A load that waits for the card, and the card's offer to take it, made after the office told of it."""
        self.confirm_outstanding()
        listed = {one.reference: one for one in self._office.waiting(public.card_no)}
        if (waiting := listed.get(reference)) is None:
            raise _Refused(LoadRefusal.NOTHING_WAITS)
        request = self._ask(card, public, waiting, at)
        if self._settled(card, waiting, request):
            raise _Refused(LoadRefusal.ALREADY_MADE)
        return waiting, request

    def _ask(self, card: Transmits, public: PublicData, one: Waiting, at: datetime) -> LoadRequest:
        request = self._offered(card, public, one.amount_fen, at)
        return replace(request, ordered_at=one.ordered_at, order=one.reference)

    def _settled(self, card: Transmits, one: Waiting, request: LoadRequest) -> bool:
        """Whether the card holds the load already: by its TAC, or by its counter where it has none to show."""
        if one.last is None or request.counter <= one.last.counter:
            return False
        proof = commands.parse_prove(card.transmit(commands.transaction_prove(KIND, one.last.counter + 1)))
        if not isinstance(proof, commands.Refusal):
            tried = replace(
                request, counter=one.last.counter, balance_fen=one.last.balance_fen,
                terminal=one.last.terminal, moment=one.last.moment,
            )  # fmt: skip
            if self._office.confirm(LoadReceipt(tried, proof.tac)) is None:
                return True
        if (declined := self._office.settle(request)) is not None:
            raise _declined(declined)
        return True

    def _forget_begun(self, card_no: str) -> None:
        """The office has a load of this card on its own list: what was begun here goes on there."""
        if (begun := self._journal.begun(card_no)) is not None:
            self._journal.drop(begun)

    def _offered(self, card: Transmits, public: PublicData, amount_fen: int, at: datetime) -> LoadRequest:
        asked = commands.init_load(amount_fen, bytes.fromhex(self._terminal))
        offer = commands.parse_init_load(card.transmit(asked))
        if isinstance(offer, commands.Refusal):
            raise _Refused(LoadRefusal.CARD_REFUSED, str(offer))
        return LoadRequest(
            card_no=public.card_no, issuer=public.issuer, key_version=offer.key_version,
            algorithm=offer.algorithm, rnd=offer.rnd, counter=offer.sequence, balance_fen=offer.balance_fen,
            amount_fen=amount_fen, kind=KIND, terminal=self._terminal, moment=pack_moment(at),
            mac1=offer.mac1, ordered_at=pack_moment(at),
        )  # fmt: skip

    def _credit(self, card: Transmits, request: LoadRequest) -> LoadReceipt:
        """Ask the office, then the card; a load begun stays so until one of them says how it ended."""
        again = self._journal.begun(request.card_no) is not None
        if not self._journal.begin(request):
            raise _Refused(LoadRefusal.CARD_REFUSED)
        mac2 = self._office.authorise(request)
        if isinstance(mac2, Declined):
            # After an earlier attempt the office may hold money for this load; then it stays in the journal.
            if not again or request.order or mac2.reason in (Decline.RETURNED, Decline.PROVED):
                self._journal.drop(request)
            raise _declined(mac2)
        tac = commands.parse_credit(card.transmit(commands.credit_load(request.moment, mac2)))
        if isinstance(tac, commands.Refusal):
            # The office has taken the money: the load stays begun, and the next attempt makes it.
            torn = tac.word == StatusWord.MEMORY_FAILURE
            raise _Refused(LoadRefusal.TORN if torn else LoadRefusal.CARD_REFUSED, str(tac))
        receipt = LoadReceipt(request, tac)
        self._journal.prove(receipt)
        return receipt


def _made_here(card: Transmits, begun: LoadRequest) -> bool:
    """Whether the card's newest transaction is the load as it was begun; where it keeps no log, take it so."""
    read = commands.parse_read(card.transmit(commands.read_record(1, PURSE_LOG_SFI)))
    if isinstance(read, commands.Refusal):
        return True
    try:
        newest = PurseRecord.unpack(read)
    except RecordError:
        return True
    here = begun.kind, begun.amount_fen, bytes.fromhex(begun.terminal), begun.moment
    return (newest.kind, newest.amount_fen, newest.terminal, newest.moment) == here


def _declined(declined: Declined) -> _Refused:
    return _Refused(_BY_OFFICE.get(declined.reason, LoadRefusal.NOT_AUTHORISED), declined.message)


def _outcome(error: Exception) -> LoadOutcome:
    """What ends a dialogue, as a value."""
    match error:
        case _Refused():
            return LoadOutcome(error.refusal, detail=error.detail)
        case FileError():
            return LoadOutcome(LoadRefusal.UNREADABLE, detail=str(error))
        case OfficeGone():
            return LoadOutcome(LoadRefusal.OFFICE_GONE, detail=str(error))
        case _:
            return LoadOutcome(LoadRefusal.TORN, detail=str(error))
