"""The end of a program whose work is done: at once, and not after taking apart object by object what it had loaded."""

import atexit
import os
import sys
import threading


def end_at_once(ending: SystemExit) -> None:
    """End the process as this says; what is registered for the end is done, and what is said is written out.

    Python would first look through all that is loaded and free it: a quarter of the time of a short command, a third of
    a second where it has loaded what a night needs. Where a thread still works, or nobody takes what is said any more,
    it is left to Python, and this returns.
    """
    status = 0 if ending.code is None else ending.code
    if not isinstance(status, int) or _others_work():
        return
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return
    os._exit(status & 0xFF)


def _others_work() -> bool:
    return any(one is not threading.main_thread() and not one.daemon for one in threading.enumerate())
