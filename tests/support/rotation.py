"""New versions of an HSM's roots, by its own program, while it does not run."""

import subprocess
import sys
from pathlib import Path


def rotate(home: Path, *usages: str) -> None:
    """Make the next version of these roots; the last one goes on generating for those who hold it."""
    named = [word for usage in usages for word in ("--usage", usage)]
    command = [sys.executable, "-m", "hsm_sim", "rotate", "--home", str(home), *named, "--overlap"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
