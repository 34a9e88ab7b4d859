"""Fingerprints of sources."""

from __future__ import annotations

import hashlib
from pathlib import Path

import dask.config
import numpy as np
import pytest

from daskgen.errors import InputError
from daskgen.stores.fingerprint import (
    PieceHasher,
    check_unchanged,
    combine_pieces,
    describe_source,
    hash_file,
    hash_piece,
    n_pieces,
)


def test_the_fingerprint_is_the_hash_of_the_hashes_of_the_pieces(tmp_path):
    path = tmp_path / "source"
    content = bytes(range(256)) * 10
    path.write_bytes(content)
    with dask.config.set({"daskgen.fingerprint-piece": 1000}):
        assert n_pieces(path) == 3
        digests = [hash_piece(path, i) for i in (2, 0, 1)]
        pieces = [hashlib.sha256(content[i : i + 1000]).digest() for i in (0, 1000, 2000)]
        assert combine_pieces([digests[1], digests[2], digests[0]]) == hashlib.sha256(b"".join(pieces)).hexdigest()
        assert hash_file(path) == hashlib.sha256(b"".join(pieces)).hexdigest()


@pytest.mark.parametrize("seed", range(8))
def test_pieces_are_hashed_from_what_is_shown_and_what_is_not(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path, other = tmp_path / "source", tmp_path / "other"
    contents = {str(path): rng.bytes(2560), str(other): rng.bytes(1700)}
    for name, content in contents.items():
        Path(name).write_bytes(content)
    with dask.config.set({"daskgen.fingerprint-piece": 500}):
        pieces = [(str(path), i) for i in range(2, 6)] + [(str(other), i) for i in range(3)]
        hasher = PieceHasher(pieces)
        for name, content in contents.items():
            at = 0
            while at < len(content):
                end = at + int(rng.integers(1, 900))
                if rng.random() < 0.6:
                    hasher.see(name, at, memoryview(content[at:end]))
                at = end
        found = hasher.digests()
    assert [piece[:2] for piece in found] == pieces
    for name, i, digest in found:
        assert digest == hashlib.sha256(contents[name][500 * i : 500 * (i + 1)]).digest()
    assert PieceHasher([]).digests() == []


def test_a_changed_source_is_noticed_and_a_copied_one_is_not(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"a" * 500_000)
    recorded = describe_source(path)
    path.write_bytes(b"a" * 500_000)  # same content, later time
    check_unchanged(path, recorded)
    path.write_bytes(b"a" * 499_999 + b"b")
    with pytest.raises(InputError, match="changed since the interrupted run"):
        check_unchanged(path, recorded)
    path.write_bytes(b"a" * 10)
    with pytest.raises(InputError, match="size 10"):
        check_unchanged(path, recorded)


def test_a_missing_source_is_said_so(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        describe_source(tmp_path / "nothing")
