"""What the fare kernels are made of: functions that only machine code calls."""

from functools import partial

from numba import njit

inner = partial(njit, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compiles a function without a way in from Python: for arguments as wide as the kernels' that way takes two thirds of
the time to compile."""
