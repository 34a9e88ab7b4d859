"""What is said where CuPy or a GPU is missing."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from daskgen.errors import MissingPackageError, UsageError
from daskgen.kernels.cuda import load


@pytest.fixture(autouse=True)
def _asked_anew():
    load.cupy.cache_clear()
    yield
    load.cupy.cache_clear()


def test_without_cupy_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(MissingPackageError, match=r"daskgen\[cuda12\]") as caught:
        load.cupy()
    assert caught.value.exit_code == 2


def test_without_a_gpu_the_message_says_so(monkeypatch):
    cuda = SimpleNamespace(is_available=lambda: False, runtime=SimpleNamespace(runtimeGetVersion=lambda: 12090))
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda, __version__="14.0"))
    with pytest.raises(UsageError, match="no GPU can be used here") as caught:
        load.cupy()
    assert "CUDA 12.9" in str(caught.value)


def test_with_both_cupy_itself_is_returned(monkeypatch):
    module = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: True))
    monkeypatch.setitem(sys.modules, "cupy", module)
    assert load.cupy() is module
