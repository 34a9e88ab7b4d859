"""Fingerprints of sources."""

from __future__ import annotations

import hashlib

import dask.config
import pytest

from daskgen.errors import InputError
from daskgen.stores.fingerprint import check_unchanged, combine_pieces, describe_source, hash_file, hash_piece, n_pieces


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
