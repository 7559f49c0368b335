"""Ctrl-C, wherever it comes: the program ends with 130 and says that it was interrupted."""

import sys

import pytest
import typer

from api import cli
from api.interrupt import INTERRUPTED


@pytest.mark.parametrize("place", ["in a command", "around it"])
def test_ctrl_c_is_answered_with_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    def pressed() -> None:
        raise KeyboardInterrupt

    typed = typer.Typer()
    typed.command()(pressed)
    monkeypatch.setattr(sys, "argv", ["onecard"])
    monkeypatch.setattr(cli, "app", typed if place == "in a command" else pressed)
    with pytest.raises(SystemExit) as ending:
        cli.main()
    assert ending.value.code == INTERRUPTED
    assert capsys.readouterr().err.strip() == "onecard: interrupted"
