"""An engine that runs everything on two, and answers only where both made the same bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clearing.engine.duck import IN_PROCESS
from clearing.engine.rules import Inputs, RuleEngine


@dataclass(frozen=True, slots=True)
class TwoEngines:
    """DuckDB and another; counts in `compared` how many files were compared, by their names."""

    other: RuleEngine
    compared: dict[str, int]

    def run(self, rules: Sequence[str], inputs: Inputs, result: str, to: Path) -> Path:
        """Run rules (see RuleEngine) on both, and assert that the two files are one."""
        path = IN_PROCESS.run(rules, inputs, result, to)
        theirs = self.other.run(rules, inputs, result, to.with_name(f"theirs-{to.name}"))
        assert theirs.read_bytes() == path.read_bytes(), f"{to.name} differs between the engines"
        self.compared[to.name] = self.compared.get(to.name, 0) + 1
        theirs.unlink()
        return path
