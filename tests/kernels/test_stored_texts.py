"""Texts of a chunk as bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numcodecs.vlen import VLenUTF8

from daskgen.kernels.stored_texts import unpack_texts


def chunk_of(texts: list[str]) -> np.ndarray:
    return np.frombuffer(VLenUTF8().encode(np.array(texts, dtype=object)), np.uint8)


@given(st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]))), st.data())
def test_texts_come_out_as_they_went_in(texts, data):
    n = data.draw(st.integers(0, len(texts)))
    assert unpack_texts(chunk_of(texts), n).tobytes() == "".join(f"{text}\0" for text in texts[:n]).encode()


def test_a_chunk_that_is_too_short_is_refused():
    chunk = chunk_of(["rs1", "rs22"])
    for size in range(chunk.size):
        with pytest.raises(ValueError, match="fewer than 2 whole texts"):
            unpack_texts(chunk[:size], 2)
    with pytest.raises(ValueError, match="fewer than 3"):
        unpack_texts(chunk, 3)
    longer = chunk.copy()
    longer[4:8] = 255  # a length beyond the chunk
    with pytest.raises(ValueError, match="whole texts"):
        unpack_texts(longer, 2)
