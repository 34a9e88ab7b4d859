"""Where the larger test data are: real cohorts and reference results that are not part of the repository.

They lie in the folder named by ``$DASKGEN_SHARED``, or in ``shared`` beside the checkout. A test that needs them is
skipped, saying what is absent, where they are not there.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


def shared_root() -> Path:
    """The folder of shared data, whether it exists or not."""
    configured = os.environ.get("DASKGEN_SHARED")
    return Path(configured) if configured else CHECKOUT.parent / "shared"


def shared(*parts: str | os.PathLike[str]) -> Path:
    """The path of a shared file or folder, for example ``shared("data/genotypes/mice_hs1814")``.

    Skips the test where it does not exist.
    """
    path = shared_root().joinpath(*parts)
    if not path.exists():
        pytest.skip(f"shared test data are not here: {Path(*parts)} (set DASKGEN_SHARED to the folder that holds it)")
    return path
