"""A program that is done ends at once: what it said and registered is there, what it had loaded is not taken apart."""

import os
import subprocess
import sys

LOADED = """
import atexit, sys, threading
from api.ending import end_at_once

class Taken:
    def __del__(self):
        print("taken apart", flush=True)

taken = Taken()
taken.itself = taken
atexit.register(lambda: print("registered"))
"""


def ended(code: str, stdout: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    """How a program ends that has this to say at the end."""
    command = [sys.executable, "-c", LOADED + code]
    held_back = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        command, env=held_back, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60
    )


def test_what_is_said_and_registered_is_done_and_nothing_is_taken_apart() -> None:
    done = ended("print('said'); print('aside', file=sys.stderr); end_at_once(SystemExit(3))")
    assert (done.returncode, done.stdout, done.stderr) == (3, "said\nregistered\n", "aside\n")


def test_the_program_ends_so() -> None:
    done = ended("sys.argv = ['onecard', 'night', 'plan', '--help']; from api.cli import program; program()")
    assert (done.returncode, done.stderr) == (0, "")
    assert "taps, expected minutes" in " ".join(done.stdout.split()) and "registered" in done.stdout
    assert "taken apart" not in done.stdout


def test_an_end_without_a_number_is_a_good_one() -> None:
    assert ended("end_at_once(SystemExit())").returncode == 0


def test_a_reason_in_words_is_left_to_python() -> None:
    done = ended("ending = SystemExit('no card'); end_at_once(ending); raise ending")
    assert (done.returncode, done.stderr, "taken apart" in done.stdout) == (1, "no card\n", True)


def test_a_thread_that_still_works_is_waited_for() -> None:
    work = "threading.Thread(target=lambda: (threading.Event().wait(0.2), print('worked'))).start()"
    done = ended(f"{work}; ending = SystemExit(4); end_at_once(ending); raise ending")
    assert (done.returncode, "worked" in done.stdout) == (4, True)


def test_nobody_who_listens_any_more_is_no_good_end() -> None:
    unread, said = os.pipe()
    os.close(unread)
    try:
        done = ended("print('said'); ending = SystemExit(0); end_at_once(ending); raise ending", stdout=said)
    finally:
        os.close(said)
    assert done.returncode == 120
