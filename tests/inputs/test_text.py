"""Tables of text are read in blocks; what is wrong with a line is said with its number."""

from __future__ import annotations

from pathlib import Path

import pytest

from daskgen.errors import InputError
from daskgen.inputs.files import count_lines, natural_order
from daskgen.inputs.text import blocks_of_text, columns_of, open_text


def read(path: Path, n_columns: int = 2) -> list[list[str]]:
    """All columns of a table, joined over its blocks."""
    columns: list[list[str]] = [[] for _ in range(n_columns)]
    with open_text(str(path)) as file:
        for first, text in blocks_of_text(str(path), file):
            for column, part in zip(columns, columns_of(str(path), first, text, n_columns, names="a, b"), strict=True):
                column.extend(part)
    return columns


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize("end", ["", "\n", "\n\n  \n", "\r\n"])
def test_blocks_join_to_the_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, end: str) -> None:
    monkeypatch.setattr("daskgen.inputs.text.BLOCK_CHARACTERS", block)
    path = tmp_path / "t"
    path.write_text("\n".join(f"x{i}\t {i} " for i in range(9)) + end, newline="")
    assert read(path) == [[f"x{i}" for i in range(9)], [str(i) for i in range(9)]]
    assert count_lines(str(path)) == 9


@pytest.mark.parametrize("block", [1, 5, 1 << 20])
@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("a b\nc\nd e f\n", 2, "1 columns: c"),  # as many words as two per line would make
        ("a b\nc d e\n", 2, "3 columns: c d e"),
        ("a b\n\nc d\n", 2, "a blank line"),
        ("a b\nc d\ne é ü\n", 3, "3 columns: e é ü"),
    ],
)
def test_a_line_of_another_length_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, text: str, line: int, found: str
) -> None:
    monkeypatch.setattr("daskgen.inputs.text.BLOCK_CHARACTERS", block)
    (tmp_path / "t").write_text(text)
    with pytest.raises(InputError, match=rf"line {line}: wrong number of columns") as error:
        read(tmp_path / "t")
    assert found in str(error.value)


def test_text_beyond_ascii_is_kept(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("é ß\nλ 雪\n")
    assert read(tmp_path / "t") == [["é", "λ"], ["ß", "雪"]]


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"a b\n\xff\xfe\x00\x80 x\n")
    with pytest.raises(InputError, match="is not a text file"):
        read(tmp_path / "t")


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "t").write_text(" \n\n")
    assert count_lines(str(tmp_path / "t")) == 0
    assert read(tmp_path / "t") == [[], []]


def test_zstd_files_are_unpacked_and_damage_is_seen(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = tmp_path / "t.zst"
    packed = zstandard.compress(b"a 1\nb 2\n")
    path.write_bytes(packed + zstandard.compress(b"c 3\n"))  # frames may follow each other
    assert read(path) == [["a", "b", "c"], ["1", "2", "3"]]
    path.write_bytes(b"no zstd at all")
    with pytest.raises(InputError, match="cannot be read to its end"):
        read(path)


def test_numbers_inside_names_sort_as_numbers() -> None:
    names = ["chr10.bed", "chr2.bed", "chrX.bed", "chr1.bed"]
    assert sorted(names, key=natural_order) == ["chr1.bed", "chr2.bed", "chr10.bed", "chrX.bed"]
