"""The HSM as the rest of the city calls it: one method a command, over a pool of connections."""

from dataclasses import dataclass, field

from card.hsm.asking import sized
from card.hsm.bulk import BulkTacs
from card.hsm.codec import DONE, MOMENT_BYTES, CardKeyRef, fixed, name_field, number, order
from card.hsm.envelopes import Envelopes
from card.hsm.errors import HsmError
from card.hsm.signing import Signing
from card.hsm.terminals import TerminalKeys, WrappedKey

MAX_RANDOM = 256
CHECK_VALUE_BYTES = 3
WRAPPED_BYTES = 56


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Who answers: the check value of its LMK, its own words, and whether to trust it with real money."""

    lmk_check: str
    text: str
    simulator: bool
    demo_keys: bool


@dataclass(frozen=True, slots=True)
class WrappedCardKeys:
    """DPK, DLK and DTK of a card wrapped under a transport key (RFC 3394), their check values, and their version."""

    wrapped: bytes = field(repr=False)
    check_values: tuple[bytes, bytes, bytes]
    version: int


class Hsm(TerminalKeys, Envelopes, Signing, BulkTacs):
    """A client of one HSM, or of several with the same keys.

    Amounts in fen, moments 7 bytes BCD in city time, terminals and MACs raw bytes.
    Every method raises HsmError: the HSM's own code, or `unreachable`, `lost` or `garbled`; and ValueError for an
    argument that does not fit its field. Time-outs are per wait for the HSM. Threads may share a client.
    """

    def diagnostics(self) -> Diagnostics:
        """NC: who is there."""
        raw = self._ask("NC")
        if len(raw) < 16 or not raw.isascii():
            raise HsmError("NC", "garbled", f"{len(raw)} bytes of text")
        text = raw[16:].decode("ascii")
        return Diagnostics(
            raw[:16].decode("ascii"), text, text.startswith("SIMULATOR"), text.endswith("DEMO KEYS")
        )

    def echo(self, data: bytes) -> bytes:
        """B2: the same bytes back, at most 65,535."""
        length = number("length of data", len(data), 2).hex().upper().encode("ascii")
        return self._ask("B2", length + data)

    def random(self, count: int) -> bytes:
        """N0: 1 to 256 random bytes."""
        if not 1 <= count <= MAX_RANDOM:
            raise ValueError(f"count is {count}: ask for 1 to {MAX_RANDOM} random bytes")
        return self._ask("N0", f"{count:03d}".encode("ascii"), count)

    def purchase_mac1(
        self,
        keys: CardKeyRef,
        *,
        rnd: bytes,
        counter: int,
        amount_fen: int,
        kind: int,
        terminal: bytes,
        moment: bytes,
        terminal_sequence: int,
    ) -> bytes:
        """E0: the SAM's MAC1, which makes a card debit itself."""
        fields = (
            keys.pack()
            + fixed("rnd", rnd, 4)
            + number("counter", counter, 2)
            + order(amount_fen, kind, terminal)
            + fixed("moment", moment, MOMENT_BYTES)
            + number("terminal_sequence", terminal_sequence, 4)
        )
        return self._ask("E0", fields, 4)

    def verify_purchase_mac2(
        self,
        keys: CardKeyRef,
        *,
        rnd: bytes,
        counter: int,
        terminal_sequence: int,
        amount_fen: int,
        mac2: bytes,
    ) -> bool:
        """E2: whether the card that answered is the one asked, and has debited itself."""
        fields = (
            keys.pack()
            + fixed("rnd", rnd, 4)
            + number("counter", counter, 2)
            + number("terminal_sequence", terminal_sequence, 4)
            + number("amount_fen", amount_fen, 4)
            + fixed("mac2", mac2, 4)
        )
        return self._verify("E2", fields)

    def authorise_load(
        self,
        keys: CardKeyRef,
        *,
        rnd: bytes,
        counter: int,
        balance_fen: int,
        amount_fen: int,
        kind: int,
        terminal: bytes,
        moment: bytes,
        mac1: bytes,
    ) -> bytes | None:
        """E4: the MAC2 that makes a card load itself; None where the card's MAC1 is wrong."""
        fields = (
            keys.pack()
            + fixed("rnd", rnd, 4)
            + number("counter", counter, 2)
            + number("balance_fen", balance_fen, 4)
            + order(amount_fen, kind, terminal)
            + fixed("moment", moment, MOMENT_BYTES)
            + fixed("mac1", mac1, 4)
        )
        answer = self._exchange("E4", fields)
        return sized("E4", answer.fields, 4) if answer.error == DONE else None

    def verify_purchase_tac(
        self,
        keys: CardKeyRef,
        *,
        amount_fen: int,
        kind: int,
        terminal: bytes,
        terminal_sequence: int,
        moment: bytes,
        tac: bytes,
    ) -> bool:
        """E6: whether a card made this purchase."""
        fields = (
            keys.pack()
            + order(amount_fen, kind, terminal)
            + number("terminal_sequence", terminal_sequence, 4)
            + fixed("moment", moment, MOMENT_BYTES)
            + fixed("tac", tac, 4)
        )
        return self._verify("E6", fields)

    def verify_load_tac(
        self,
        keys: CardKeyRef,
        *,
        new_balance_fen: int,
        counter: int,
        amount_fen: int,
        kind: int,
        terminal: bytes,
        moment: bytes,
        tac: bytes,
    ) -> bool:
        """E8: whether a card took this load."""
        fields = (
            keys.pack()
            + number("new_balance_fen", new_balance_fen, 4)
            + number("counter", counter, 2)
            + order(amount_fen, kind, terminal)
            + fixed("moment", moment, MOMENT_BYTES)
            + fixed("tac", tac, 4)
        )
        return self._verify("E8", fields)

    def card_keys(self, keys: CardKeyRef, transport_version: int = 1) -> WrappedCardKeys:
        """F2: a card's own keys for its personalisation, in the suite of its algorithm.

        Under NEWEST the answer says which version that is: the card and the register have to say the same.
        """
        fields = keys.pack() + number("transport_version", transport_version, 1)
        raw = self._ask("F2", fields, 1 + WRAPPED_BYTES + 3 * CHECK_VALUE_BYTES)
        return WrappedCardKeys(raw[1:57], (raw[57:60], raw[60:63], raw[63:66]), raw[0])

    def card_authentication_key(self, keys: CardKeyRef, transport_version: int = 1) -> WrappedKey:
        """F4: the key by which a card knows who may maintain it, for its personalisation."""
        fields = keys.pack() + number("transport_version", transport_version, 1)
        raw = self._ask("F4", fields, 1 + 24 + CHECK_VALUE_BYTES)
        return WrappedKey(raw[1:25], raw[25:], raw[0])

    def authentication_cryptogram(self, keys: CardKeyRef, challenge: bytes) -> bytes:
        """EA: the 8 bytes that EXTERNAL AUTHENTICATE sends to answer a card's challenge of 8."""
        return self._ask("EA", keys.pack() + fixed("challenge", challenge, 8), 8)

    def batch_mac(self, operator: str, digest: bytes, key_version: int = 0) -> bytes:
        """G0: the MAC of an operator's batch file over its SHA-256; version 0 means the newest key."""
        return self._ask("G0", _batch(operator, digest, key_version), 16)

    def verify_batch_mac(self, operator: str, digest: bytes, mac: bytes, key_version: int) -> bool:
        """G2: whether the operator named made this batch file."""
        return self._verify("G2", _batch(operator, digest, key_version) + fixed("mac", mac, 16))


def _batch(operator: str, digest: bytes, key_version: int) -> bytes:
    return (
        number("key_version", key_version, 1) + name_field("operator", operator) + fixed("digest", digest, 32)
    )
