"""The text that says where a run computes."""

from __future__ import annotations

import pytest

from daskgen.cluster.specification import ACCEPTED, Specification
from daskgen.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("threads", Specification("threads")),
        ("threads:3", Specification("threads", count=3)),
        ("local:16", Specification("local", count=16)),
        (" Local ", Specification("local")),
        ("cuda:2", Specification("cuda", count=2)),
        ("tls://node12:8786", Specification("tls", target="tls://node12:8786")),
        ("tcp://[fe80::1]:8786", Specification("tcp", target="tcp://[fe80::1]:8786")),
        ("file:/shared/my run/scheduler.json", Specification("file", target="/shared/my run/scheduler.json")),
        ("slurm:gpu.yaml", Specification("slurm", target="gpu.yaml")),
    ],
)
def test_accepted_places(text: str, expected: Specification) -> None:
    assert Specification.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "local:",
        "local:0",
        "local:-1",
        "local:2.5",
        "threads:x",
        "tls:host:8786",
        "tls://host",
        "file:",
        "slurm",
        "ssh://host:1",
    ],
)
def test_anything_else_is_refused_with_the_list(text: str) -> None:
    with pytest.raises(UsageError, match="no place to compute") as caught:
        Specification.parse(text)
    assert all(spec in str(caught.value) for spec in ACCEPTED)


def test_a_near_miss_gets_a_hint() -> None:
    with pytest.raises(UsageError, match="did you mean local"):
        Specification.parse("locl:4")
