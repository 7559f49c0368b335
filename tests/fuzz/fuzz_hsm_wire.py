"""Let libFuzzer look for bytes that the HSM's wire cannot bear.

`python -m tests.fuzz.fuzz_hsm_wire FOLDER… -max_total_time=60`: new inputs that reach new code are written to the
first folder, what breaks something to `crash-…` here.
"""

import sys

import atheris

with atheris.instrument_imports(include=["hsm_sim", "card.hsm"]):
    from tests.fuzz.hsm_wire import replay


def main() -> None:
    """Run until something breaks or the options say that it is enough."""
    atheris.Setup(sys.argv, replay)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
