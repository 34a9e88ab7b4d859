"""VCF files that tests make: their text at random, and packed in the ways that are met."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
DECLARED = """##fileformat=VCFv4.3
##contig=<ID=1>
##contig=<ID=2>
##contig=<ID=X>
##INFO=<ID=DR2,Number=A,Type=Float,Description="r2">
##INFO=<ID=I,Number=1,Type=String,Description="text">
##FORMAT=<ID=GT,Number=1,Type=String,Description="call">
##FORMAT=<ID=DS,Number=A,Type=Float,Description="dosage">
##FORMAT=<ID=GP,Number=G,Type=Float,Description="probabilities">
##FORMAT=<ID=AD,Number=.,Type=Integer,Description="depths">
##FORMAT=<ID=XGT,Number=1,Type=String,Description="text">
##FORMAT=<ID=HQ,Number=1,Type=Integer,Description="quality">
"""


def header(n_samples: int, declared: str = DECLARED) -> str:
    """The header, with samples I0, I1, ..."""
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    return declared + "\t".join([*columns, *(f"I{i}" for i in range(n_samples))]) + "\n"


def bgzip(data: bytes, block: int = 65_280, end: bool = True) -> bytes:
    """`data` as blocked gzip, with `block` plain bytes in each block."""
    parts = []
    for start in range(0, len(data), block):
        plain = data[start : start + block]
        squeezed = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = squeezed.compress(plain) + squeezed.flush()
        head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(body) + 25)
        parts.append(head + body + struct.pack("<II", zlib.crc32(plain), len(plain)))
    return b"".join(parts) + (_END if end else b"")


def write_vcf(path: Path, text: str, kind: str, block: int = 65_280) -> Path:
    """The text as PATH.vcf (plain), PATH.vcf.gz (bgzip or gzip) or PATH.bcf (needs cyvcf2)."""
    data = text.encode()
    plain = path.parent / f"{path.name}.vcf"
    packed = path.parent / f"{path.name}.vcf.gz"
    if kind == "plain":
        plain.write_bytes(data)
        return plain
    if kind == "bgzip":
        packed.write_bytes(bgzip(data, block))
        return packed
    if kind == "gzip":
        packed.write_bytes(gzip.compress(data))
        return packed
    import cyvcf2

    bcf = path.parent / f"{path.name}.bcf"
    plain.write_bytes(data)
    reader = cyvcf2.VCF(str(plain))
    writer = cyvcf2.Writer(str(bcf), reader, mode="wb")
    for record in reader:
        writer.write_record(record)
    writer.close()
    reader.close()
    plain.unlink()
    return bcf


def random_records(
    rng: np.random.Generator, n_records: int, n_samples: int, contig: str = "1", gt_first: bool = False
) -> str:
    """Records with all combinations of GT, DS, GP and parts that nobody reads, several ALT alleles, all ploidies."""
    lines = []
    for record in range(n_records):
        n_alt = int(rng.choice([1, 1, 1, 2, 3, 11]))
        keys = [key for key in ("GT", "DS", "GP", "AD", "XGT", "HQ") if rng.random() < 0.6] or ["GT"]
        head, *tail = keys
        order = [head, *rng.permutation(tail)] if head == "GT" else list(rng.permutation(keys))
        if gt_first:
            order.sort(key=lambda key: key != "GT")
        n_genotypes = (n_alt + 1) * (n_alt + 2) // 2
        columns = []
        for _ in range(n_samples):
            haploid = rng.random() < 0.2
            alleles = [str(a) if rng.random() < 0.9 else "." for a in rng.integers(0, n_alt + 1, 1 if haploid else 2)]
            most = 1 if haploid and "GT" in keys else 2
            ds = rng.dirichlet(np.ones(n_alt + 1))[:n_alt] * most
            gp = rng.dirichlet(np.ones(n_alt + 1 if haploid else n_genotypes) * 0.3)
            values = {
                "GT": rng.choice(["/", "|"]).join(alleles),
                "DS": ",".join(f"{d:.{rng.integers(1, 7)}g}" for d in ds) if rng.random() < 0.8 else ".",
                "GP": ",".join(f"{p:.4f}" for p in gp) if rng.random() < 0.8 else ".",
                "AD": "3,0",
                "XGT": "1/1/1",
                "HQ": ".",
            }
            parts = [values[key] for key in order]
            if rng.random() < 0.1:
                parts = parts[: rng.integers(1, len(parts) + 1)]
            columns.append(":".join(parts))
        alt = ",".join("ACGT"[i % 4] * (1 + i) for i in range(n_alt))
        info = f"I=a|b;DR2={0.5 + record / 1000:.3f}"
        first = [contig, str(record + 1), f"{contig}r{record}", "A", alt, ".", ".", info, ":".join(order)]
        lines.append("\t".join([*first, *columns]))
    return "\n".join(lines) + "\n"
