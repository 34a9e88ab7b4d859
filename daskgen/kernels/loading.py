"""Compiled kernels read from the cache, without making Numba ready to compile.

Before Numba looks into its cache it imports all that it knows of NumPy, and SciPy's linear algebra with it: four tenths
of a second, for each process, that running compiled code does not need. What that code does need is there before: the
functions of C that Numba registers when it is imported, and its memory management.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numba
from numba.core.compiler_lock import global_compiler_lock
from numba.core.runtime import rtsys

__all__ = ["load"]

_KNOWN = ((0, 61), (0, 69))  # first version of Numba whose inner parts are as used here, and first that was not seen


def load(dispatcher: Any, signature: Any) -> bool:
    """Give `dispatcher` its compiled code for `signature` out of its cache.

    False where the cache has none, and with a Numba that is newer than this was tried with: it then loads in its own,
    slower way.
    """
    if not _KNOWN[0] <= numba.version_info[:2] < _KNOWN[1]:
        return False
    context = dispatcher.targetctx
    with global_compiler_lock:
        rtsys.initialize(context)
        with _as_it_is(context):
            found = dispatcher._cache.load_overload(signature, context)
        if found is None:
            return False
        context.insert_user_function(found.entry_point, found.fndesc, [found.library])
        dispatcher.add_overload(found)
        dispatcher._cache_hits[signature] += 1
    return True


@contextlib.contextmanager
def _as_it_is(context: Any) -> Iterator[None]:
    """Within the block, `context` is not made ready to compile."""
    context.refresh = lambda: None
    try:
        yield
    finally:
        del context.refresh
