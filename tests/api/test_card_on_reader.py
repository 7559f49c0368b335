"""`onecard card …` on a real reader, spoken to by Debian's own PC/SC programs as well."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.slots import FIRST_CUSTODIAN, ROOTS
from tests.support.typed_commands import TypedCommands
from tests.support.virtual_card import CARD_SLOT, SAM_SLOT, VirtualReader, virtual_reader

CARD_NO = "03104870000000001234"
SELECT = "00 A4 04 00 08 A0 00 00 06 32 01 01 05 00"


@pytest.fixture(scope="module")
def reader(onecard: TypedCommands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualReader]:
    """A reader with a card personalised by the command line, and a SAM that two custodians have loaded."""
    home = tmp_path_factory.mktemp("virtual") / "home"
    with virtual_reader(onecard, home, "--card", home / "card.chip", "--sam", home / "sam.chip") as running:
        blank = running.onecard("card", "read", "--reader", CARD_SLOT)
        assert blank.returncode == 1 and "its ATR is 3B 8F 80 01" in blank.stderr
        made = running.onecard("card", "init", CARD_NO, "--reader", CARD_SLOT, "--overdraft", "800")
        assert made.returncode == 0, made.stderr
        second = bytes(ours ^ theirs for ours, theirs in zip(ROOTS[0], FIRST_CUSTODIAN, strict=True))
        typed = f"{FIRST_CUSTODIAN.hex()}\n{second.hex()}\n"
        loaded = running.onecard("card", "sam", "518000000001", "--reader", SAM_SLOT, typed=typed)
        assert loaded.returncode == 0, loaded.stderr
        assert ROOTS[0].hex() not in loaded.stdout + loaded.stderr
        yield running


def test_the_personalised_card_is_shown_as_a_table_and_as_json(reader: VirtualReader) -> None:
    table = reader.onecard("card", "read")
    assert table.returncode == 0, table.stderr
    assert CARD_NO in table.stdout and "Shenzhen" in table.stdout and "8.00 yuan" in table.stdout
    shown = json.loads(reader.onecard("card", "read", "--json").stdout)
    assert (shown["card_no"], shown["balance_fen"], shown["overdraft_limit_fen"]) == (CARD_NO, 800, 800)


def test_a_card_that_is_somebodys_is_not_personalised_again(reader: VirtualReader) -> None:
    again = reader.onecard("card", "init", CARD_NO, "--reader", CARD_SLOT)
    assert again.returncode == 1
    assert "this chip is somebody's already: put a blank one on the reader" in again.stderr


def test_a_sam_in_service_takes_no_more_keys(reader: VirtualReader) -> None:
    again = reader.onecard("card", "sam", "518000000002", "--reader", SAM_SLOT, typed=f"{bytes(16).hex()}\n")
    assert again.returncode == 1 and "a SAM in service takes no keys" in again.stderr


def test_what_is_no_key_component_is_refused_and_not_repeated(reader: VirtualReader) -> None:
    wrong = reader.onecard("card", "sam", "518000000001", "--reader", SAM_SLOT, typed="0123456789\n")
    assert wrong.returncode == 1 and "is not 32 hex digits" in wrong.stderr
    assert "0123456789" not in wrong.stdout + wrong.stderr


def test_pcsc_scan_sees_both_slots(reader: VirtualReader) -> None:
    seen = reader.run("pcsc_scan", "-r").stdout
    assert CARD_SLOT in seen and SAM_SLOT in seen


def test_scriptor_speaks_with_the_card_and_with_the_sam(reader: VirtualReader) -> None:
    card = reader.run("scriptor", "-r", CARD_SLOT, typed=f"{SELECT}\n80 5C 00 02 04\n").stdout
    assert "< 00 00 03 20 90 00" in card
    sam = reader.run("scriptor", "-r", SAM_SLOT, typed="00 B0 96 00 06\n").stdout
    assert "Using T=0 protocol" in sam and "< 51 80 00 00 00 01 90 00" in sam


def test_opensc_tool_reads_the_atr_and_sends_commands(reader: VirtualReader) -> None:
    said = reader.run("opensc-tool", "-r", CARD_SLOT, "-a", "-s", SELECT.replace(" ", "")).stdout
    assert "3b:8f:80:01:80:4f:0c:a0" in said
    assert "SW1=0x90, SW2=0x00" in said and "10 48 70 00 00 00 00 12 34" in said


def test_a_card_on_t0_is_read_all_the_same_and_remembers_over_a_restart(
    onecard: TypedCommands, tmp_path: Path
) -> None:
    """scriptor shows what T=0 does with lengths; our reader fetches the answers whole."""
    file = tmp_path / "card.chip"
    with virtual_reader(onecard, tmp_path / "home", "--card", file) as running:
        assert running.onecard("card", "init", CARD_NO, "--algorithm", "1").returncode == 0
    with virtual_reader(onecard, tmp_path / "home", "--card", file, "--t0") as running:
        assert json.loads(running.onecard("card", "read", "--json").stdout)["card_no"] == CARD_NO
        short = f"{SELECT[:-3]}\n00 C0 00 00 33\n00 B0 95 00 FF\n"
        said = running.run("scriptor", "-r", CARD_SLOT, typed=short).stdout
        assert [word in said for word in ("< 61 33", "< 6F 31 84 08", "< 6C 1E")] == [True] * 3


def test_a_cards_number_still_shows_its_taps(reader: VirtualReader) -> None:
    shown = reader.onecard("card", CARD_NO)
    assert shown.returncode == 1 and "No card of this city has that number" in shown.stderr


def test_without_a_daemon_the_command_says_what_to_start(onecard: TypedCommands, tmp_path: Path) -> None:
    nobody = VirtualReader(onecard, tmp_path, str(tmp_path / "no-socket"))
    said = nobody.onecard("card", "readers")
    assert said.returncode == 1 and "start pcscd, or set PCSCLITE_CSOCK_NAME" in said.stderr
