"""A back office elsewhere, as the counter asks it: loads and services to cards, over the line."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from terminals.card_service import CardStanding, NotServed, Served, Service, ServiceAsked
from terminals.loads import (
    Decline,
    Declined,
    LoadReceipt,
    LoadRequest,
    OfficeGone,
    Tried,
    Waiting,
    fields_of,
)
from terminals.office_line import Heard, OfficeLine
from terminals.questions import Questions, digest_of

ROOT: Final = "/v1/counter"
SERVICES: Final = f"{ROOT}/services"
_NOT_AN_OFFICE: Final = frozenset({"", "not_found", "method_not_allowed"})


class RemoteOffice:
    """A `LoadOffice` and a `CardOffice` at the other end of a line; what it answers is theirs, word for word.

    A load's question has the card's random number in it, so that its content is its key. A service may be
    wanted again later, so that the key of each is kept in `questions` until the office has answered it.
    """

    def __init__(self, line: OfficeLine, questions: Questions) -> None:
        self._line, self._questions = line, questions

    def waiting(self, card_no: str) -> Sequence[Waiting]:
        """The loads that wait for a card, oldest first. Raises OfficeGone."""
        card = self._card(card_no)
        try:
            return [_waiting_of(one) for one in card["waiting"]]
        except (KeyError, TypeError, ValueError) as error:
            raise self._garbled(error) from error

    def authorise(self, request: LoadRequest) -> bytes | Declined:
        """MAC2 for the card. Raises OfficeGone."""
        answer = self._load("authorisation", fields_of(request))
        if isinstance(answer, Declined):
            return answer
        try:
            return bytes.fromhex(answer["mac2"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._garbled(error) from error

    def confirm(self, receipt: LoadReceipt) -> Declined | None:
        """The card has been loaded, by its TAC. Raises OfficeGone."""
        answer = self._load("proof", {**fields_of(receipt.request), "tac": receipt.tac.hex()})
        return answer if isinstance(answer, Declined) else None

    def settle(self, request: LoadRequest) -> Declined | None:
        """The card's offer shows its load counter. Raises OfficeGone."""
        answer = self._load("settlement", fields_of(request))
        return answer if isinstance(answer, Declined) else None

    def give_back(self, request: LoadRequest, attempts: int) -> Declined | None:
        """The card's offer shows that it has not taken the load. Raises OfficeGone."""
        answer = self._load("return", {**fields_of(request), "attempts": attempts})
        return answer if isinstance(answer, Declined) else None

    def standing(self, card_no: str) -> CardStanding:
        """How a card stands now. Raises OfficeGone."""
        card = self._card(card_no)
        try:
            return CardStanding(str(card["state"]), bool(card["stopped"]))
        except KeyError as error:
            raise self._garbled(error) from error

    def serve(self, asked: ServiceAsked) -> Served | NotServed:
        """Do it, once. Raises OfficeGone; then the same is asked again under the same key."""
        body = {
            "service": asked.service.value, "card_no": asked.card_no, "clerk": asked.clerk, "why": asked.why,
            "amount_fen": asked.amount_fen, "new_card": asked.new_card,
        }  # fmt: skip
        digest = digest_of(SERVICES, body)
        heard = self._line.ask("POST", SERVICES, body, key=self._questions.key_of(digest))
        answer = self._served(heard)
        self._questions.answered(digest)
        return answer

    def _served(self, heard: Heard) -> Served | NotServed:
        if not heard.done:
            return NotServed(self._reason(heard), heard.detail)
        members = heard.members
        try:
            due_on = members["due_on"]
            return Served(
                Service(members["service"]), members["card_no"], members["amount_fen"], members["cards"],
                None if due_on is None else date.fromisoformat(due_on),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise self._garbled(error) from error

    def _load(self, step: str, body: Mapping[str, Any]) -> Mapping[str, Any] | Declined:
        path = f"{ROOT}/loads/{step}"
        heard = self._line.ask("POST", path, body, key=digest_of(path, body))
        if heard.done:
            return heard.members
        reason = self._reason(heard)
        if reason not in set(Decline):
            # What was sent is not what this office takes: whatever the load is, it stays in the journal.
            raise OfficeGone(f"the office at {self._line.address} does not take it: {reason}, {heard.detail}")
        return Declined(Decline(reason), heard.detail)

    def _card(self, card_no: str) -> Mapping[str, Any]:
        heard = self._line.ask("GET", f"{ROOT}/cards/{card_no}")
        if not heard.done:
            raise OfficeGone(f"card {card_no}: {self._reason(heard)}, {heard.detail}")
        return heard.members

    def _reason(self, heard: Heard) -> str:
        if heard.code in _NOT_AN_OFFICE:
            raise OfficeGone(f"at {self._line.address} there is no office for counters; look at --office")
        return heard.code

    def _garbled(self, error: Exception) -> OfficeGone:
        return OfficeGone(
            f"the office at {self._line.address} answers in another form: {error!r}; is it of this version?"
        )


def waiting_fields(one: Waiting) -> dict[str, Any]:
    """A load that waits, as JSON has it."""
    last = one.last
    tried = None if last is None else {
        "counter": last.counter, "balance_fen": last.balance_fen, "terminal": last.terminal,
        "moment": last.moment.hex(),
    }  # fmt: skip
    return {
        "reference": one.reference, "card_no": one.card_no, "amount_fen": one.amount_fen,
        "paid_from": one.paid_from, "ordered_at": one.ordered_at.hex(), "attempts": one.attempts, "last": tried,
    }  # fmt: skip


def _waiting_of(fields: Mapping[str, Any]) -> Waiting:
    last = fields["last"]
    tried = last and Tried(
        last["counter"], last["balance_fen"], last["terminal"], bytes.fromhex(last["moment"])
    )
    return Waiting(
        fields["reference"], fields["card_no"], fields["amount_fen"], fields["paid_from"],
        bytes.fromhex(fields["ordered_at"]), fields["attempts"], tried,
    )  # fmt: skip
