"""`onecard ledger …` run in this process on books of either kind, with a real HSM."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.doors import Refused
from api.groups.registers import ledger


@dataclass(frozen=True)
class Told:
    """What a command printed, and what it refused with, if it did."""

    output: str
    refused: str

    @property
    def text(self) -> str:
        """The output with runs of blanks as one."""
        return re.sub(r"\s+", " ", self.output)


@dataclass(frozen=True)
class LedgerCli:
    """The commands on one home."""

    home: Path

    def __call__(self, *words: object) -> Told:
        ended = CliRunner().invoke(ledger, [str(word) for word in words])
        if ended.exception is None or isinstance(ended.exception, SystemExit):
            assert ended.exit_code == 0, ended.output
            return Told(ended.output, "")
        if isinstance(ended.exception, Refused):
            return Told(ended.output, str(ended.exception))
        raise ended.exception


@contextmanager
def ledger_cli(home: Path, database_url: str, hsm_address: str) -> Iterator[LedgerCli]:
    """Settings for the commands in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONECARD_HOME", str(home))
        patch.setenv("ONECARD_DATABASE", database_url)
        patch.setenv("ONECARD_HSM", hsm_address)
        yield LedgerCli(home)
