"""The benchmark of the night, on days so small that its figures say nothing but that they are made."""

import pytest

from city.benchmarks import night
from city.benchmarks.night import bench_night


def test_a_day_larger_than_that_of_whole_nights_is_cleared_whole_on_postgresql(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(night, "WHOLE_TAPS", 150)
    figures = {figure.figure: figure for figure in bench_night(300)}
    assert "whole night, 300 taps, PostgreSQL, longest that a payment waits" in figures
    # Two of the whole night on PostgreSQL have one name and two peers, as have two from files to prices.
    assert len(figures) == 14 - 2
    assert any(name.startswith("taken in through the door") for name in figures)
    grown = figures["whole night, a tap of 300, PostgreSQL"]
    assert grown.against.startswith("a tap of 150: ")
    assert "whole night, 300 taps, PostgreSQL, peak memory" in figures
    assert "whole night, 300 taps, SQLite, peak memory" not in figures
    for figure in figures.values():
        assert figure.value > 0
        assert figure.ratio > 0
