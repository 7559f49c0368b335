"""0800: sign-on, which hands a terminal a new working key under its master key, and the echo test."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine

from api.gateway.answers import answer_to
from api.gateway.codes import Code
from api.gateway.terminals import GatewayTerminal, find_terminal, offer_key
from card.hsm.client import Hsm
from clearing.wire.bcd import CITY_ZONE
from clearing.wire.iso8583 import Message, Specification
from ledger.db import reading, writing

NETWORK_MTI = "0800"
SIGN_ON, ECHO = "003", "301"
"""Network management codes: the last three digits of field 60."""


class Network:
    """Answers network management messages; they carry no MAC, for there is no key before a sign-on."""

    def __init__(self, engine: Engine, hsm: Hsm, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._hsm = hsm
        self._now = now

    def answer(self, message: Message, spec: Specification) -> Message:
        """The answer to an 0800. Raises HsmError and SQLAlchemyError."""
        with reading(self._engine) as conn:
            terminal = admitted(find_terminal(conn, message.get(41)), spec)
        if isinstance(terminal, Code):
            return answer_to(message, terminal)
        management = message.get(60)[-3:]
        if management == SIGN_ON:
            return self._signed_on(message, terminal)
        return self._told(message) if management == ECHO else answer_to(message, Code.NOT_SUPPORTED)

    def _signed_on(self, message: Message, terminal: GatewayTerminal) -> Message:
        # Anybody can send this. He gets a key that only the terminal can open, and the terminal's own key
        # stays good until the new one has been used.
        key = self._hsm.terminal_working_key(terminal.terminal, terminal.master_key_version)
        with writing(self._engine) as conn:
            offer_key(conn, terminal.terminal, key.block, at=self._now())
        return self._told(message, f62=(key.for_terminal + key.check_value).hex().upper())

    def _told(self, message: Message, **more: str) -> Message:
        """Approved, with our time, by which the terminal sets its clock."""
        local = self._now().astimezone(CITY_ZONE)
        return answer_to(message, Code.APPROVED, f12=f"{local:%H%M%S}", f13=f"{local:%m%d}", **more)


def admitted(terminal: GatewayTerminal | None, spec: Specification) -> GatewayTerminal | Code:
    """The terminal, where it may speak to us like this."""
    if terminal is None:
        return Code.TERMINAL_UNKNOWN
    if terminal.withdrawn_at is not None:
        return Code.TERMINAL_WITHDRAWN
    return terminal if terminal.specification == spec.name else Code.FORMAT_ERROR
