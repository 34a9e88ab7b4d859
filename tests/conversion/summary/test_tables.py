"""Files as tables: what separates columns, how they are packed, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import polars as pl
import pytest

from conversion.summary import streams
from conversion.summary.layout import one_blank
from conversion.summary.tables import open_table
from daskgen.errors import InputError

HEADER = ["SNP", "A1", "BETA", "P"]


@pytest.fixture(params=["zlib", "isal.isal_zlib"])
def inflate(request, monkeypatch):
    """Both modules that may unpack gzip."""
    module = pytest.importorskip(request.param)
    monkeypatch.setattr(streams, "inflater", lambda: module)


ROWS = [["rs1", "A", "0.1", "0.5"], ["rs2", "C", "-2e-3", "1e-300"], ["rs3", "", "NA", "."]]


def text_of(separator="\t", header=None, rows=ROWS, end="\n", head_separator=None):
    lines = [(head_separator or separator).join(header or HEADER), *(separator.join(row) for row in rows)]
    return end.join(lines) + end


def table(tmp_path, content, name="gwas.txt"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_table(str(path))


def rows_of(opened, columns=None):
    """Rows of all blocks as lists of text, missing as ""."""
    frames = list(opened.blocks(columns or list(opened.names)))
    rows = [list(row) for frame in frames for row in frame.rows()]
    return [["" if value is None else str(value) for value in row] for row in rows]


@pytest.mark.parametrize("separator", ["\t", ",", ";", "|", " "])
def test_what_separates_columns_is_told_from_the_file(tmp_path, separator):
    rows = [[value or "NA" for value in row] for row in ROWS]
    opened = table(tmp_path, text_of(separator, rows=rows))
    assert list(opened.names) == HEADER
    assert rows_of(opened) == rows


def test_two_blanks_everywhere_are_one_separator(tmp_path):
    opened = table(tmp_path, text_of("  ", rows=ROWS[:2]))
    assert list(opened.names) == HEADER
    assert rows_of(opened) == ROWS[:2]


def test_any_number_of_blanks_separates_columns_too(tmp_path):
    content = "  SNP   A1 BETA    P\n  rs1 \t A  0.1  0.5  \nrs2  C   -2e-3 1e-300\n   rs3 G NA .\n"
    opened = table(tmp_path, content)
    assert list(opened.names) == HEADER
    assert rows_of(opened) == [["rs1", "A", "0.1", "0.5"], ["rs2", "C", "-2e-3", "1e-300"], ["rs3", "G", "NA", "."]]


@pytest.mark.parametrize("line", ["a b\n", " a  b \n", "\ta\t\tb\t\n", "a b\n\n c d\n", "\n", "a\n", "   \n"])
def test_runs_of_blanks_become_one_tab_between_words(line):
    wanted = "".join("\t".join(one.split()) + "\n" for one in line.split("\n")[:-1])
    assert one_blank(line.encode()).decode() == wanted


def test_blanks_around_values_are_taken_off(tmp_path):
    opened = table(tmp_path, "SNP, A1, BETA, P\nrs1,  A, 0.1, 0.5\nrs2 , C, -2e-3, 1e-300\n")
    assert list(opened.names) == HEADER
    assert rows_of(opened) == ROWS[:2]


def test_the_header_may_be_separated_by_something_else_than_the_rows(tmp_path):
    opened = table(tmp_path, text_of("\t", head_separator=" "))
    assert list(opened.names) == HEADER
    assert rows_of(opened) == ROWS


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_make_no_difference(tmp_path, end, mark):
    opened = table(tmp_path, mark + text_of(end=end).encode())
    assert list(opened.names) == HEADER
    assert rows_of(opened) == ROWS


def test_the_last_line_needs_no_end(tmp_path):
    assert rows_of(table(tmp_path, text_of().rstrip("\n"))) == ROWS


def test_quoted_names_and_values(tmp_path):
    content = '"SNP"\t"A1"\t"BETA"\t"P"\n"rs1"\t"A"\t0.1\t0.5\nrs2\t"C\tor D"\t-2e-3\t1e-300\n'
    opened = table(tmp_path, content)
    assert list(opened.names) == HEADER
    assert rows_of(opened) == [["rs1", "A", "0.1", "0.5"], ["rs2", "C\tor D", "-2e-3", "1e-300"]]


@pytest.mark.parametrize(
    "before",
    ["#", "##made by someone\n##on a day\n", "# a comment of words\n", "##made by someone\n#"],
)
def test_comments_before_the_header_and_a_hash_before_its_first_name(tmp_path, before):
    opened = table(tmp_path, before + text_of())
    assert list(opened.names) == HEADER
    assert rows_of(opened) == ROWS


def test_row_names_as_r_writes_them_are_a_column_of_their_own(tmp_path):
    rows = [[str(i), *row] for i, row in enumerate(ROWS)]
    opened = table(tmp_path, text_of(header=HEADER, rows=rows))
    assert list(opened.names) == ["row_name", *HEADER]
    assert rows_of(opened, HEADER) == ROWS


def test_blank_lines_are_no_rows(tmp_path):
    content = text_of().replace("\nrs2", "\n\nrs2") + "\n\n"
    assert rows_of(table(tmp_path, content)) == ROWS


def test_columns_come_in_the_order_asked_for(tmp_path):
    assert rows_of(table(tmp_path, text_of()), ["P", "SNP"]) == [[row[3], row[0]] for row in ROWS]


@pytest.mark.parametrize(
    ("pack", "name"),
    [
        (gzip.compress, "a.gz"),
        (gzip.compress, "a.txt"),
        (lambda data: b"".join(gzip.compress(data[i : i + 7]) for i in range(0, len(data), 7)), "bgzip.gz"),
        (lambda data: gzip.compress(data) + b"\0" * 512, "padded.gz"),
        (bz2.compress, "a.bz2"),
        (lzma.compress, "a.xz"),
        (lambda data: data, "a.gz"),
    ],
)
def test_how_a_file_is_packed_is_told_from_its_bytes(tmp_path, inflate, pack, name):
    assert rows_of(table(tmp_path, pack(text_of().encode()), name)) == ROWS


def test_zstd_is_unpacked(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    assert rows_of(table(tmp_path, zstandard.compress(text_of().encode()))) == ROWS


def zipped(members):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return held.getvalue()


def test_a_zip_archive_of_one_file_and_what_macos_adds(tmp_path):
    content = zipped({"folder/": "", "folder/gwas.txt": text_of(), "__MACOSX/gwas.txt": "x"})
    assert rows_of(table(tmp_path, content)) == ROWS


def test_a_zip_archive_of_several_files_is_refused(tmp_path):
    with pytest.raises(InputError, match="zip archive of 2 files") as error:
        table(tmp_path, zipped({"a": text_of(), "b": text_of()}))
    assert "a, b" in str(error.value)


def long_text(n=4000):
    return "SNP\tA1\tBETA\tP\n" + "".join(f"rs{i}\tA\t{i / 7}\t0.5\n" for i in range(n))


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda d: gzip.compress(d[: len(d) // 2]) + gzip.compress(d[len(d) // 2 :]),
    ],
)
def test_a_packed_stream_that_was_cut_is_refused_and_not_read_as_complete(tmp_path, inflate, pack, share):
    whole = pack(long_text().encode())
    with pytest.raises(InputError, match="cut off"):
        rows_of(table(tmp_path, whole[: int(len(whole) * share)]))


def test_a_zip_archive_that_was_cut_is_refused(tmp_path):
    whole = zipped({"a": long_text()})
    with pytest.raises(InputError, match="cut off or damaged"):
        rows_of(table(tmp_path, whole[:-30]))


def test_a_damaged_stream_is_refused(tmp_path, inflate):
    whole = bytearray(gzip.compress(long_text().encode()))
    whole[-6] ^= 0xFF  # the checksum
    with pytest.raises(InputError, match="damaged"):
        rows_of(table(tmp_path, bytes(whole)))


@pytest.mark.parametrize(
    ("line", "found"),
    [("rs9\tA\t0.1", "3 columns"), ("rs9\tA\t0.1\t0.5\t7", "5 columns"), ("rs9  A  0.1  0.5", "1 column")],
)
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_line_with_another_number_of_columns_is_named(tmp_path, line, found, at):
    lines = text_of().splitlines()
    lines.insert(at + 1, line)
    if at == 0:
        lines[2:] = lines[2:] * 3  # the layout is what most lines have
    with pytest.raises(InputError, match=f"line {at + 2}: {found}, the header has 4"):
        rows_of(table(tmp_path, "\n".join(lines) + "\n"))


def test_lines_that_are_too_short_and_too_long_by_as_much_do_not_make_up_for_each_other(tmp_path):
    with pytest.raises(InputError, match="line 5: 5 columns"):
        rows_of(table(tmp_path, text_of() + "rs4\tA\t0.1\t0.5\t7\nrs5\tA\t0.1\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("#a\n#b\n", "only comment lines"),
        ("SNP\tA1\n", "has no rows"),
        ("SNP A1 BETA P\nx\ny z\n", "different numbers of columns"),
        (b"SNP\tA1\n\0\0\0", "not a text table"),
        ("SNP\tA1\nrs1\tA\n".encode("utf-16"), "UTF-16"),
        ("SNP\tA1\rrs1\tA\r", "old Macintosh"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        rows_of(table(tmp_path, content))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        open_table(str(tmp_path / "nowhere.txt"))


@pytest.mark.parametrize("size", [64, 65, 100, 1000, 1 << 20])
def test_the_rows_do_not_depend_on_the_size_of_blocks(tmp_path, monkeypatch, size):
    monkeypatch.setattr(streams, "BLOCK_BYTES", size)
    content = gzip.compress(long_text(500).replace("\n", "\r\n").encode())
    rows = rows_of(table(tmp_path, content))
    assert rows == [[f"rs{i}", "A", str(i / 7), "0.5"] for i in range(500)]


def test_a_bad_line_in_a_later_block_has_its_number_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "BLOCK_BYTES", 200)
    content = "##c\n" + long_text(300).replace("rs250\tA\t", "rs250\t") + "\n"
    with pytest.raises(InputError, match="line 253: 3 columns"):
        rows_of(table(tmp_path, content))


def test_letters_outside_of_ascii_are_kept_and_bytes_that_are_none_do_not_stop_the_reading(tmp_path):
    content = text_of().encode().replace(b"rs1", "é1".encode()).replace(b"rs2", b"\xe9")
    found = rows_of(table(tmp_path, content), ["SNP"])
    assert found[0] == ["é1"]
    assert found[2] == ["rs3"]


def test_parquet_keeps_the_types_of_its_columns(tmp_path):
    frame = pl.DataFrame({"SNP": ["rs1", "rs2"], "Z": [1.5, None], "N": [3, 4]})
    frame.write_parquet(tmp_path / "a.parquet")
    opened = open_table(str(tmp_path / "a.parquet"))
    assert opened.names == ("SNP", "Z", "N")
    assert next(opened.blocks(["Z", "SNP"])).rows() == [(1.5, "rs1"), (None, "rs2")]


def test_a_parquet_file_that_was_cut_is_refused(tmp_path):
    frame = pl.DataFrame({"SNP": ["rs1", "rs2"] * 1000})
    frame.write_parquet(tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[:-20])
    with pytest.raises(InputError, match="not a whole Parquet file"):
        open_table(str(tmp_path / "a.parquet"))
