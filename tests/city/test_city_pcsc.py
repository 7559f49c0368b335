"""A PC/SC daemon of our own: any number side by side, nothing left, and a card's end of vpcd that never waits."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from city.pcsc import READER, SOCKET_VARIABLE, NoPcsc, PcscReader, private_pcscd
from city.vpcd import CONTACT_ATR, CONTACTLESS_ATR
from terminals.pcsc import Pcsc, PcscError
from tests.support.slots import PulledCard, in_slot, names_of

ASK = """
import sys
from terminals.pcsc import Pcsc
with Pcsc() as pcsc, pcsc.connect(pcsc.wait_for_card(pcsc.readers(), 20)) as card:
    print(card.transmit(bytes.fromhex(sys.argv[1])).hex(), *pcsc.readers(), sep='|')
"""


class Echo:
    """Answers with what it was sent, and counts how often its power went."""

    def __init__(self) -> None:
        self.resets = 0

    def transmit(self, apdu: bytes) -> bytes:
        return apdu[4:] + b"\x90\x00"

    def reset(self) -> None:
        self.resets += 1


def asked(socket_path: Path, apdu: str) -> str:
    """What another process hears from the card of that daemon."""
    return subprocess.run(
        [sys.executable, "-c", ASK, apdu], env=os.environ | {SOCKET_VARIABLE: str(socket_path)}, check=True,
        capture_output=True, text=True, timeout=60,
    ).stdout.strip()  # fmt: skip


def test_daemons_run_side_by_side_each_with_its_own_card() -> None:
    with ExitStack() as stack:
        readers = [stack.enter_context(private_pcscd()) for _ in range(3)]
        assert len({reader.card.port for reader in readers} | {reader.sam.port for reader in readers}) == 6
        for number, reader in enumerate(readers):
            reader.card.put(Echo() if number else PulledCard(Echo()))
        for reader in readers:
            heard = asked(reader.socket_path, "00112233 01 AB".replace(" ", ""))
            assert heard == f"01ab9000|{READER} 00 00|{READER} 00 01"


def test_nothing_is_left_of_a_daemon_once_its_block_has_ended() -> None:
    with private_pcscd() as reader:
        reader.card.put(Echo())
        folder, pid = reader.socket_path.parent, reader.daemon.pid
        asked(reader.socket_path, "00000000")
        assert folder.exists() and psutil.pid_exists(pid)
    assert not folder.exists() and not psutil.pid_exists(pid)


def test_a_card_may_be_put_in_before_anybody_looks_and_pulled_before_it_is_seen() -> None:
    with private_pcscd() as reader:
        for _ in range(3):
            reader.card.put(Echo())
            reader.card.pull()
        reader.card.put(Echo())
        assert asked(reader.socket_path, "00000000").startswith("9000|")


def test_each_slot_says_its_cards_own_answer_to_reset(pcsc_reader: PcscReader) -> None:
    with Pcsc() as pcsc:
        assert names_of(pcsc) == (f"{READER} 00 00", f"{READER} 00 01")
        with in_slot(pcsc_reader, pcsc, Echo()) as card, in_slot(pcsc_reader, pcsc, Echo(), sam=True) as sam:
            assert (card.atr, sam.atr) == (CONTACTLESS_ATR, CONTACT_ATR)
            assert card.transmit(b"\0\0\0\0\x05" + b"abcde") == b"\x05abcde\x90\x00"


def test_an_empty_slot_is_said_to_be_empty(pcsc_reader: PcscReader) -> None:
    with Pcsc() as pcsc:
        empty = names_of(pcsc)[0]
        with pytest.raises(PcscError, match="no card lies on the reader: put one on it"):
            pcsc.connect(empty)
        with pytest.raises(PcscError, match="nothing came or went"):
            pcsc.wait_for_card([empty], 0.01)
        with pytest.raises(PcscError, match="`onecard card readers` lists them"):
            pcsc.connect("Another Reader")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("city.pcsc.DAEMON", str(tmp_path / "pcscd"))
    with pytest.raises(NoPcsc, match=r"apt-get install pcscd$"), private_pcscd():
        raise AssertionError("there is no such program")
