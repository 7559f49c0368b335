"""The audit log: a chain that anyone can check, and what every change to it looks like."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hsm_sim.audit import AUDIT_FILE, AuditLog, parse_line, verify
from hsm_sim.journal import Journal
from hsm_sim.uses import UseTally
from hsm_sim.wire import ErrorCode
from hypothesis import given, settings
from hypothesis import strategies as st

AT = datetime(2026, 1, 31, 8, 43, 29, tzinfo=UTC)


def log_in(folder: Path) -> AuditLog:
    return AuditLog(folder, lambda: AT)


def written(folder: Path, count: int = 5) -> list[str]:
    log = log_in(folder)
    for number in range(count):
        log.act("rotated", keys=f"PK {number}", note='a "quoted", word 公交')
    return log.texts()


def test_lines_say_when_and_what_and_follow_one_another(tmp_path: Path) -> None:
    lines, broken = verify(written(tmp_path))
    assert broken is None
    assert [line.number for line in lines] == [1, 2, 3, 4, 5]
    assert lines[0].previous == "0" * 64
    assert [line.previous for line in lines[1:]] == [line.digest for line in lines[:-1]]
    assert (lines[4].at, lines[4].event) == ("2026-01-31T08:43:29.000+00:00", "rotated")
    assert lines[4].facts == {"keys": "PK 4", "note": 'a "quoted", word 公交'}
    assert (tmp_path / AUDIT_FILE).stat().st_mode & 0o777 == 0o600


@settings(max_examples=60)
@given(st.data())
def test_any_changed_character_breaks_the_chain_at_its_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    texts = written(tmp_path_factory.mktemp("audit"))
    place = data.draw(st.integers(0, len(texts) - 1))
    at = data.draw(st.integers(0, len(texts[place]) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != texts[place][at]))
    texts[place] = texts[place][:at] + other + texts[place][at + 1 :]
    sound, broken = verify(texts)
    assert broken is not None
    assert broken.place == place + 1
    assert len(sound) == place


def test_a_line_taken_out_put_in_or_exchanged_breaks_the_chain(tmp_path: Path) -> None:
    texts = written(tmp_path)
    for changed, place in (
        (texts[1:], 1),
        (texts[:2] + texts[3:], 3),
        ([*texts[:2], texts[1], *texts[2:]], 3),
        ([texts[0], texts[2], texts[1], *texts[3:]], 2),
    ):
        _, broken = verify(changed)
        assert broken is not None
        assert (broken.place, "lines were taken out or put in" in broken.reason) == (place, True)


def test_a_line_written_anew_with_a_right_digest_breaks_at_the_next(tmp_path: Path) -> None:
    texts = written(tmp_path)
    (tmp_path / "forger").mkdir()
    forged = log_in(tmp_path / "forger")
    forged.path.write_text("".join(f"{text}\n" for text in texts[:2]))
    forged.act("nothing happened")
    _, broken = verify([*forged.texts(), *texts[3:]])
    assert broken is not None
    assert (broken.place, broken.reason) == (4, "it does not follow the line before it: that one was changed")


def test_a_line_torn_by_a_crash_is_set_aside_and_the_chain_goes_on(tmp_path: Path) -> None:
    texts = written(tmp_path)
    torn = b'{"number": 6, "at": "2026'
    with (tmp_path / AUDIT_FILE).open("ab") as file:
        file.write(torn)
    log = log_in(tmp_path)
    log.act("started")
    lines, broken = verify(log.texts())
    assert broken is None
    assert [(line.event, dict(line.facts)) for line in lines[5:]] == [
        ("torn line set aside", {"bytes": len(torn)}), ("started", {})
    ]  # fmt: skip
    assert log.texts()[:5] == texts
    assert [path.read_bytes() for path in tmp_path.glob("audit.jsonl.torn.*")] == [torn]


def test_a_changed_last_line_stops_nobody_and_stays_visible(tmp_path: Path) -> None:
    texts = written(tmp_path)
    (tmp_path / AUDIT_FILE).write_text("\n".join([*texts[:-1], texts[-1].replace("PK 4", "PK 9")]) + "\n")
    log_in(tmp_path).act("started")
    lines = log_in(tmp_path).texts()
    _, broken = verify(lines)
    assert broken is not None
    assert (broken.place, parse_line(lines[5]).number) == (5, 6)


def test_several_processes_write_one_unbroken_chain(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from hsm_sim.audit import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]))\n"
        "for number in range(100): log.tell('from one of many', process=sys.argv[2], count=number)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), name]) for name in ("a", "b", "c")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines, broken = verify(AuditLog(tmp_path).texts())
    assert (len(lines), broken) == (300, None)
    for name in ("a", "b", "c"):
        assert [line.facts["count"] for line in lines if line.facts["process"] == name] == list(range(100))


def test_a_fact_cannot_pass_for_a_link_of_the_chain(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'digest' is a field of every line"):
        log_in(tmp_path).act("rotated", digest="0" * 64)
    assert log_in(tmp_path).texts() == []


@given(st.text(max_size=60) | st.from_type(dict[str, int]).map(json.dumps) | st.just("[1]"))
def test_a_text_that_is_no_line_is_said_to_be_none(text: str) -> None:
    sound, broken = verify([text])
    assert (sound, broken is not None) == ([], True)


def test_refusals_are_lines_at_once_and_their_repetitions_are_summed_up(tmp_path: Path) -> None:
    journal = Journal(log_in(tmp_path), UseTally())
    for _ in range(1000):
        journal.refused("10.0.0.5", b"F2", ErrorCode.NOT_AUTHORISED)
    journal.refused("10.0.0.5", b"\xff\n", ErrorCode.COMMAND_UNKNOWN)
    assert len(journal.log.texts()) == 2
    journal.flush()
    journal.flush()
    lines, broken = verify(journal.log.texts())
    assert broken is None
    assert [dict(line.facts) for line in lines] == [
        {"client": "10.0.0.5", "command": "F2", "error": "17", "times": 1},
        {"client": "10.0.0.5", "command": "\\xff\n", "error": "68", "times": 1},
        {"client": "10.0.0.5", "command": "F2", "error": "17", "times": 999},
    ]
    journal.refused("10.0.0.5", b"F2", ErrorCode.NOT_AUTHORISED)
    assert len(journal.log.texts()) == 4


def test_uses_that_cannot_be_written_down_now_are_written_later(tmp_path: Path) -> None:
    uses = UseTally()
    journal = Journal(log_in(tmp_path / "later"), uses)
    uses.count("PK 1", 3)
    uses.count("TK 1", 2, failed=True)
    with pytest.raises(OSError, match="No such file"):
        journal.flush()
    uses.count("PK 1")
    (tmp_path / "later").mkdir()
    journal.flush()
    [line], _ = verify(journal.log.texts())
    assert (line.event, line.facts) == ("keys used", {"uses": {"PK 1": 4, "TK 1": 2}, "failed": {"TK 1": 2}})
    assert journal.log.path == tmp_path / "later" / AUDIT_FILE
