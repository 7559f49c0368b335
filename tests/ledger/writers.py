"""Starting writers as processes of their own, and hearing what they say until they end or are killed."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.ledger.writer import Acknowledged

PROJECT = Path(__file__).resolve().parents[2]


def start(url: str, name: str, batches: int, statement: int = 0) -> "subprocess.Popen[str]":
    """Start a writer; before the given statement it kills itself, if that is not 0."""
    command = [sys.executable, "-m", "tests.ledger.writer", url, name, str(batches), str(statement)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT)


def heard(lines: Iterable[str]) -> list[Acknowledged]:
    """What a writer has acknowledged; a line that it was killed in the middle of was not said."""
    whole = [json.loads(line) for line in lines if line.endswith("\n")]
    return [
        Acknowledged(batch, tuple((kind, reference, answer) for kind, reference, answer in found))
        for batch, found in whole
    ]
