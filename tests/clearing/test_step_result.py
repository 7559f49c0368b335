"""What a step of the night hands back, and what of it is known only as it is written."""

from pathlib import Path

from sqlalchemy import Connection, Engine, text

from clearing.context import StepResult
from ledger.db import writing


def test_what_a_step_finds_as_it_is_written_is_told_with_the_rest(engine: Engine) -> None:
    done: list[str] = []

    def write(conn: Connection) -> None:
        done.append(f"written {conn.execute(text('SELECT 1')).scalar_one()}")

    def more() -> StepResult:
        done.append("found")
        return StepResult({"gaps": 3}, (Path("requests.json"),))

    result = StepResult({"taps": 7}, (Path("taps.json"),), write, more=more)
    assert done == []
    with writing(engine) as conn:
        whole = result.written(conn)
    assert done == ["written 1", "found"]
    assert (whole.counts, whole.files) == (
        {"taps": 7, "gaps": 3},
        (Path("taps.json"), Path("requests.json")),
    )


def test_a_step_that_finds_nothing_more_is_told_as_it_was(engine: Engine) -> None:
    result = StepResult({"taps": 7})
    with writing(engine) as conn:
        assert result.written(conn) is result
