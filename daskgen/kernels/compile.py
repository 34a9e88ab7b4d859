"""How the CPU kernels are compiled: with fixed signatures, on first use, kept in a cache folder.

A kernel is a plain loop over NumPy arrays, written in Python and compiled by Numba. Three rules hold for all of them:

- It never holds the GIL, so that Dask's threads run side by side.
- Its argument types are written down. Numba would otherwise compile a second copy for a read-only array, a third for
  a sliced one, and so on; here the Python function in front of a kernel brings its arguments to the one form.
- Importing the module compiles nothing. The first call compiles, or reads what an earlier process has compiled.

Compiled code lies in the setting ``cache`` (``DASKGEN_CACHE``), else in the user's cache folder, so that an
installation that nobody may write to runs too. Where no folder can be written, each process compiles for itself.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import numba
from numba import types

from daskgen import config
from daskgen.kernels.loading import load

__all__ = ["Kernel", "cache_folder", "helper", "input_array", "kernel", "kernels", "output_array"]

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")

_registry: list[Kernel[Any]] = []
# Numba compiles one function at a time anyway; this lock also covers the moment in which its cache folder is ours.
_compiling = threading.RLock()


def input_array(dtype: types.Type, ndim: int) -> types.Array:
    """The Numba type of an array that a kernel only reads: C-contiguous; writeable and read-only arrays both fit."""
    return types.Array(dtype, ndim, "C", readonly=True)


def output_array(dtype: types.Type, ndim: int) -> types.Array:
    """The Numba type of an array that a kernel writes: C-contiguous."""
    return types.Array(dtype, ndim, "C")


class Kernel(Generic[Result]):
    """A function that is compiled for its signatures when it is first called, and then called without the GIL.

    Made by :func:`kernel`. Arguments that fit none of the signatures raise TypeError.
    """

    def __init__(self, function: Callable[..., Result], signatures: tuple[Any, ...]):
        functools.update_wrapper(self, function)
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.signatures = signatures
        self.module = function.__module__
        self.source = Path(function.__code__.co_filename)
        self._function = function
        self._compiled: Callable[..., Result] | None = None

    def __call__(self, *arguments: Any) -> Result:
        compiled = self._compiled
        if compiled is None:
            compiled = self.compile()
        return compiled(*arguments)

    def compile(self) -> Callable[..., Result]:
        """Compile now, or read the compiled code from the cache. Does nothing the second time."""
        with _compiling:
            if self._compiled is None:
                folder = cache_folder(self.source)
                try:
                    self._compiled = _compile(self._function, self.signatures, folder)
                except OSError:  # the folder was there, but the disk is full or the quota used up
                    if folder is None:
                        raise
                    self._compiled = _compile(self._function, self.signatures, None)
            return self._compiled


def kernel(*signatures: Any) -> Callable[[Callable[..., Result]], Kernel[Result]]:
    """Decorator: a function of a kernel module as a :class:`Kernel` with these Numba signatures, nearly always one."""

    def decorate(function: Callable[..., Result]) -> Kernel[Result]:
        made = Kernel(function, signatures)
        _registry.append(made)
        return made

    return decorate


def kernels() -> list[Kernel[Any]]:
    """The kernels of all modules that were imported, in the order of import."""
    return list(_registry)


def helper(function: Function) -> Function:
    """Decorator: a function that kernels call. It is compiled into each of them and has no cache entry of its own."""
    compiled: Function = numba.njit(nogil=True)(function)
    return compiled


def _compile(function: Callable[..., Any], signatures: tuple[Any, ...], folder: Path | None) -> Any:
    if folder is None:
        dispatcher = numba.njit(nogil=True)(function)
    else:
        # Numba knows only one cache folder for everybody, so it is ours for the moment in which it is looked up.
        theirs = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder)
        try:
            dispatcher = numba.njit(nogil=True, cache=True)(function)
        finally:
            numba.config.CACHE_DIR = theirs
    for signature in signatures:
        if folder is None or not load(dispatcher, signature):
            dispatcher.compile(signature)
    dispatcher.disable_compile()
    return dispatcher


def cache_folder(source: Path | None = None) -> Path | None:
    """The folder of compiled kernels, made if it is not there; None if it cannot be written.

    With the file of a kernel module, the folder of that module's kernels: its last part is the module's name and a hash
    of its source and of the sources of the kernel modules it imports. Numba notices when the file of a kernel changes,
    but not when a helper in another file does.
    """
    setting = config.get("cache")
    try:
        root = Path(str(setting)).expanduser() if setting else _user_cache_folder()
        folder = root / "kernels"
        if source is not None:
            folder /= f"{source.stem}-{sources_hash(source)}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):  # no home folder is a RuntimeError
        return None
    return folder


def _user_cache_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "daskgen"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "daskgen"


@functools.cache
def sources_hash(source: Path) -> str:
    """A short hash of a kernel module's file and of the kernel modules that it imports, directly or through others."""
    digest = hashlib.sha256()
    for path in sorted(_with_imports(source)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


# Both forms of import within this package, over one line or several in brackets. Reading a file's syntax tree instead
# would cost a run 5 ms a module.
_IMPORTS = re.compile(r"^from daskgen\.kernels(?:\.(\w+))? import (\([^)]*\)|[^\n]*)", re.MULTILINE)


def _with_imports(source: Path) -> set[Path]:
    found: set[Path] = set()
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for module, names in _IMPORTS.findall(path.read_text(encoding="utf-8")):
            siblings = [module] if module else re.findall(r"\w+", names)
            waiting += [file for name in siblings if (file := path.with_name(f"{name}.py")).is_file()]
    return found
