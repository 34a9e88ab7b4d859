"""BGEN files written as their description says, and decoded one probability at a time.

https://www.chg.ox.ac.uk/~gav/bgen_format/spec/latest.html
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np


@dataclass
class BgenVariant:
    """The fields of a variant and its probability block, not compressed."""

    block: bytes
    position: int = 1
    rsid: str = "rs1"
    alleles: Sequence[str] = ("A", "G")
    contig: str = "1"
    snpid: str = ""


# -- blocks ------------------------------------------------------------------------------------------------------------
def block_1(thirds: np.ndarray) -> bytes:
    """A block of layout 1 from numbers of 1/32768 (samples, 3)."""
    return np.asarray(thirds, "<u2").tobytes()


def block_2(
    values: Iterable[int] | np.ndarray,
    n_samples: int,
    *,
    bits: int = 8,
    phased: bool = False,
    n_alleles: int = 2,
    ploidy: Sequence[int] | int = 2,
    missing: Sequence[int] = (),
) -> bytes:
    """A block of layout 2. values: all stored numbers in order, those of missing samples (zero) included."""
    each = np.full(n_samples, ploidy, np.uint8) if isinstance(ploidy, int) else np.array(ploidy, np.uint8)
    least, greatest = int(each.min()), int(each.max())
    each[list(missing)] |= 128
    numbers = np.asarray(list(values) if not isinstance(values, np.ndarray) else values.reshape(-1), np.uint64)
    if bits in (8, 16, 32):
        packed = numbers.astype(f"<u{bits // 8}").tobytes()
    else:
        single = (numbers[:, None] >> np.arange(bits, dtype=np.uint64)) & np.uint64(1)
        packed = np.packbits(single.astype(np.uint8).reshape(-1), bitorder="little").tobytes()
    head = struct.pack("<IHBB", n_samples, n_alleles, least, greatest)
    return head + each.tobytes() + bytes([phased, bits]) + packed


def dosages(block: bytes, allele: int, layout: int = 2) -> tuple[list[float | None], float]:
    """(expected copies of the allele times 2 / ploidy in each sample, None where missing; information measure)."""
    if layout == 1:
        thirds = np.frombuffer(block, "<u2").reshape(-1, 3)
        weights = [[Fraction(int(x), max(1, int(row.sum()))) for x in row] for row in thirds]
        samples = [
            (2, [[(weight, copies if allele else 2 - copies) for copies, weight in enumerate(row)]])
            if any(row)
            else None
            for row in weights
        ]
    else:
        samples = _samples_2(block, allele)
    result: list[float | None] = []
    mean, variance, chromosomes = Fraction(0), Fraction(0), 0
    for sample in samples:
        if sample is None:
            result.append(None)
            continue
        ploidy, parts = sample
        first = [sum(p * copies for p, copies in part) for part in parts]
        second = [sum(p * copies * copies for p, copies in part) for part in parts]
        result.append(float(sum(first) * 2 / ploidy))
        mean += sum(first)
        variance += sum(s - f * f for s, f in zip(second, first, strict=True))
        chromosomes += ploidy
    if not chromosomes:
        return result, float("nan")
    theta = mean / chromosomes
    expected = chromosomes * theta * (1 - theta)
    return result, float(1 - variance / expected) if expected else 1.0


def _samples_2(block: bytes, allele: int) -> list[tuple[int, list[list[tuple[Fraction, int]]]] | None]:
    """Of each sample its ploidy and, for each set of probabilities, (probability, copies of the allele)."""
    n, n_alleles = struct.unpack_from("<IH", block)
    ploidies = block[8 : 8 + n]
    phased, bits = block[8 + n], block[9 + n]
    stream = int.from_bytes(block[10 + n :], "little")
    at = itertools.count(0, bits)
    top = 2**bits - 1
    samples: list[tuple[int, list[list[tuple[Fraction, int]]]] | None] = []
    for byte in ploidies:
        ploidy = byte & 63
        if phased:
            genotypes = [[(a,) for a in range(n_alleles)]] * ploidy
        else:
            every = itertools.combinations_with_replacement(range(n_alleles), ploidy)
            genotypes = [sorted(every, key=lambda genotype: genotype[::-1])] if ploidy else []
        parts = []
        for own in genotypes:
            values = [(stream >> next(at)) & top for _ in own[:-1]]
            values.append(top - sum(values))
            parts.append([(Fraction(v, top), g.count(allele)) for v, g in zip(values, own, strict=True)])
        samples.append(None if byte & 128 or not ploidy else (ploidy, parts))
    return samples


def random_block(
    rng: np.random.Generator,
    n_samples: int,
    *,
    bits: int = 8,
    phased: bool = False,
    n_alleles: int = 2,
    ploidies: Sequence[int] = (2,),
    missing: float = 0.1,
) -> bytes:
    """A block of layout 2 with probabilities that are mostly near certainty."""
    ploidy = rng.choice(ploidies, n_samples)
    absent = np.flatnonzero(rng.random(n_samples) < missing)
    top = 2**bits - 1
    values: list[int] = []
    for sample in range(n_samples):
        own = int(ploidy[sample])
        groups = own if phased else min(own, 1)
        genotypes = n_alleles if phased else len(list(itertools.combinations_with_replacement(range(n_alleles), own)))
        for _ in range(groups):
            share = rng.dirichlet(np.full(genotypes, 0.1))
            whole = np.floor(share[:-1] * top).astype(int).tolist()
            values.extend([0] * len(whole) if sample in absent else whole)
    return block_2(
        values,
        n_samples,
        bits=bits,
        phased=phased,
        n_alleles=n_alleles,
        ploidy=ploidy.tolist(),
        missing=absent.tolist(),
    )


# -- files -------------------------------------------------------------------------------------------------------------
def write_bgen(
    path: Path,
    variants: Sequence[BgenVariant],
    n_samples: int,
    *,
    sample_ids: Sequence[str] | None = None,
    layout: int = 2,
    compression: str | None = "zlib",
) -> Path:
    """A BGEN file; `compression` is None, "zlib" or "zstd"."""
    method = {None: 0, "zlib": 1, "zstd": 2}[compression]
    ids = b""
    if sample_ids is not None:
        names = b"".join(_text(name, "<H") for name in sample_ids)
        ids = struct.pack("<II", 8 + len(names), len(sample_ids)) + names
    flags = method | layout << 2 | (sample_ids is not None) << 31
    with open(path, "wb") as file:
        file.write(struct.pack("<IIII4sI", 20 + len(ids), 20, len(variants), n_samples, b"bgen", flags) + ids)
        for variant in variants:
            file.write(_header(variant, n_samples, layout) + _stored(variant.block, layout, compression))
    return path


def _text(text: str, size: str) -> bytes:
    data = text.encode()
    return struct.pack(size, len(data)) + data


def _header(variant: BgenVariant, n_samples: int, layout: int) -> bytes:
    names = b"".join(_text(text, "<H") for text in (variant.snpid, variant.rsid, variant.contig))
    alleles = b"".join(_text(text, "<I") for text in variant.alleles)
    if layout == 1:
        return struct.pack("<I", n_samples) + names + struct.pack("<I", variant.position) + alleles
    return names + struct.pack("<IH", variant.position, len(variant.alleles)) + alleles


def _stored(block: bytes, layout: int, compression: str | None) -> bytes:
    if compression is None:
        return block if layout == 1 else struct.pack("<I", len(block)) + block
    if compression == "zlib":
        packed = zlib.compress(block, 6)
    else:
        import zstandard

        packed = zstandard.ZstdCompressor(level=3).compress(block)
    if layout == 1:
        return struct.pack("<I", len(packed)) + packed
    return struct.pack("<II", len(packed) + 4, len(block)) + packed


def write_bgi(path: Path, variants: Sequence[BgenVariant], n_samples: int, *, layout: int = 2) -> Path:
    """The index of a BGEN file that `write_bgen` made of these variants, as bgenix makes it."""
    data = path.read_bytes()
    index = path.with_name(path.name + ".bgi")
    at = 4 + struct.unpack_from("<I", data)[0]
    rows = []
    for variant in variants:
        head = len(_header(variant, n_samples, layout))
        size = head + 4 + struct.unpack_from("<I", data, at + head)[0]
        rows.append(
            (variant.contig, variant.position, variant.rsid, len(variant.alleles), *variant.alleles[:2], at, size)
        )
        at += size
    connection = sqlite3.connect(index)
    connection.execute(
        "CREATE TABLE Variant (chromosome TEXT NOT NULL, position INT NOT NULL, rsid TEXT NOT NULL, "
        "number_of_alleles INT NOT NULL, allele1 TEXT NOT NULL, allele2 TEXT NULL, file_start_position INT NOT NULL, "
        "size_in_bytes INT NOT NULL, PRIMARY KEY (chromosome, position, rsid, allele1, allele2, file_start_position)) "
        "WITHOUT ROWID"
    )
    connection.execute(
        "CREATE TABLE Metadata (filename TEXT NOT NULL, file_size INT NOT NULL, last_write_time INT NOT NULL, "
        "first_1000_bytes BLOB NOT NULL, index_creation_time INT NOT NULL)"
    )
    connection.executemany("INSERT INTO Variant VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    about = os.stat(path)
    connection.execute(
        "INSERT INTO Metadata VALUES (?, ?, ?, ?, ?)", (path.name, about.st_size, int(about.st_mtime), data[:1000], 0)
    )
    connection.commit()
    connection.close()
    return index
