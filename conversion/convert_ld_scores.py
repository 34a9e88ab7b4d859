"""LDSC's LD scores to a store: univariate and partitioned, with weights, M, M_5_50 and overlaps of annotations."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from conversion.ldsc_files import ChromosomeFile, chromosome_files, read_numbers, read_table, table_blocks
from daskgen.errors import InputError, StoreError, examples
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.files import natural_order
from daskgen.inputs.selection import plain_contig
from daskgen.stores import Location, RunKey, write_result
from daskgen.stores.fingerprint import describe_source

__all__ = ["LdScoreConversion", "ld_scores"]

log = logging.getLogger("daskgen.conversion")

_NO_SCORES = ("CHR", "SNP", "BP", "CM", "MAF")
_COMMON = 0.05  # M_5_50 and overlaps count variants whose minor allele frequency is above this
UNIVARIATE = "L2"


@dataclass(frozen=True)
class LdScoreConversion:
    """What a conversion made: the store's path, numbers of variants by contig, annotations, and what was left out."""

    path: str
    variants: dict[str, int]
    annotations: tuple[str, ...]
    dropped: dict[str, int]

    @property
    def n_variants(self) -> int:
        return sum(self.variants.values())

    def __fspath__(self) -> str:
        """The store's path: functions take the result where they take a path."""
        return self.path

    def open(self) -> xr.Dataset:
        """The store as a lazy xarray Dataset."""
        import daskgen

        return daskgen.open_store(self.path)

    def __str__(self) -> str:
        text = f"{self.path}: {self.n_variants:,} variants on {len(self.variants)} contigs, {len(self.annotations)} "
        text += "annotation" if len(self.annotations) == 1 else "annotations"
        return text + "".join(f"\n  left out {n:,} {reason}" for reason, n in self.dropped.items())


@known_arguments()
def ld_scores(
    prefix: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    annotations: str | os.PathLike[str] | None = None,
    frequencies: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> LdScoreConversion:
    """Convert LDSC's LD scores to a store of kind "ld_scores".

    prefix: where the files `<prefix><chromosome>.l2.ldscore[.gz]` are, with `.l2.M_5_50` or `.l2.M` (or both) beside
        each: a folder ("eur_w_ld_chr", "eur_w_ld_chr/"), the beginning of the names ("dir/baselineLD."), a pattern with
        @ for the chromosome, or the name of one set for all chromosomes ("UKBB.EUR"). Columns CHR, SNP, BP, then one or
        more LD scores (CM and MAF are left out); the ending "L2" of a score is not part of its annotation's name.
    destination: path or URL of the store.
    weights: the same for LD scores over the regression's variants, one score. Variants without one have NaN.
    annotations: `<prefix><chromosome>.annot[.gz]` of partitioned scores, whose products are summed into
        `annotation_overlap`, by contig. With M_5_50 this is over variants of minor allele frequency above 0.05, so that
        `frequencies` are needed: `<prefix><chromosome>.frq[.gz]`, with SNP and MAF.
    force: replace a store that daskgen made.

    Chromosomes are in numeric order and variants in order of their positions. Scores are kept as they are: negative
    ones are real. Of a repeated id the first is kept.

    Raises InputError for files that are not there, don't fit each other or cannot be read; StoreError for the
    destination.
    """
    place = Location.of(destination)
    if place.exists() and not place.is_empty_folder() and not force:
        raise StoreError(f"{place} exists.", do="choose another path, or --force to replace a store of daskgen")
    files = chromosome_files(prefix, ".l2.ldscore", "LD scores")
    tables, dropped = _score_tables(files)
    names = tuple(tables[0].columns[3:])
    contigs = [str(table["CHR"].iloc[0]) for table in tables]
    data: dict[str, Any] = {
        "variant_contig": ("variants", np.repeat(np.arange(len(tables), dtype=np.int32), list(map(len, tables)))),
        "variant_position": ("variants", np.concatenate([table["BP"].to_numpy(np.int32) for table in tables])),
        "variant_id": ("variants", np.concatenate([table["SNP"].to_numpy(object) for table in tables])),
        "contig_id": ("contigs", np.array(contigs, dtype=object)),
        "annotation": ("annotations", np.array([_annotation(name) for name in names], dtype=object)),
        "ld_score": (
            ("variants", "annotations"),
            np.concatenate([table[list(names)].to_numpy(np.float64) for table in tables]),
        ),
    }
    variants = dict(zip(contigs, map(len, tables), strict=True))
    del tables
    totals, used = _totals(files, contigs, names)
    data |= {name: (("contigs", "annotations"), values) for name, values in totals.items()}
    if weights is not None:
        data["weight"] = ("variants", _weights(weights, data["variant_id"][1]))
        used += [file.path for file in chromosome_files(weights, ".l2.ldscore", "weights")]
    if annotations is not None:
        overlap, binary, read = _overlaps(files, contigs, annotations, frequencies, names, "M_5_50" in totals)
        data["annotation_overlap"] = (("contigs", "annotations", "annotations_2"), overlap)
        data["annotation_is_binary"] = (("contigs", "annotations"), binary)
        used += read
    scope = "contig" if len(files) == len(contigs) else "genome"
    sources = [describe_source(path) for path in used]
    run = RunKey(
        "convert ld-scores",
        {
            name: None if value is None else os.fspath(value)
            for name, value in (
                ("prefix", prefix),
                ("weights", weights),
                ("annotations", annotations),
                ("frequencies", frequencies),
            )
        },
        [{key: about[key] for key in ("name", "size", "sample")} for about in sources],
    )
    write_result(
        place,
        xr.Dataset(data, attrs={"M_scope": scope}),
        kind="ld_scores",
        run=run,
        provenance={"sources": sources, "arguments": run.as_dict()["arguments"], "dropped": dropped},
        force=force,
    )
    return LdScoreConversion(place.url, variants, tuple(data["annotation"][1].tolist()), dropped)


def _annotation(column: str) -> str:
    """ "baseL2" is the score of annotation base; a single score is called L2."""
    return column.removesuffix("L2") or UNIVARIATE


def _score_tables(files: Sequence[ChromosomeFile]) -> tuple[list[pd.DataFrame], dict[str, int]]:
    """A table (CHR SNP BP, scores) for each contig, in order, and numbers of rows left out by reason."""
    tables: list[pd.DataFrame] = []
    origin: list[str] = []
    for file in files:
        table = read_table(file.path, ["CHR", "SNP", "BP"])
        table = table[["CHR", "SNP", "BP", *(name for name in table.columns if name not in _NO_SCORES)]]
        _check_scores(file, table, tables[0] if tables else None)
        by_contig = {str(name): part for name, part in table.groupby("CHR", sort=False)}
        if file.chromosome and list(map(plain_contig, by_contig)) != [plain_contig(file.chromosome)]:
            raise InputError(
                f"{file.path} should hold chromosome {file.chromosome} only.", found=f"CHR {examples(by_contig)}"
            )
        for name in sorted(by_contig, key=lambda name: natural_order(plain_contig(name))):
            tables.append(by_contig[name].sort_values("BP", kind="stable"))
            origin.append(file.path)
    repeated = pd.concat([table["SNP"] for table in tables], ignore_index=True).duplicated().to_numpy()
    dropped = {}
    if repeated.any():
        dropped["repeated ids"] = int(repeated.sum())
        edges = np.cumsum([0, *map(len, tables)])
        tables = [table[~repeated[a:b]] for table, a, b in zip(tables, edges[:-1], edges[1:], strict=True)]
    return tables, dropped


def _check_scores(file: ChromosomeFile, table: pd.DataFrame, first: pd.DataFrame | None) -> None:
    names = list(table.columns[3:])
    if not names or table.empty:
        raise InputError(
            f"{file.path} has no LD scores.",
            found=f"{len(table):,} rows, columns {' '.join(table.columns)}",
            expected="a column L2, or one for each annotation",
        )
    if first is not None and list(first.columns[3:]) != names:
        raise InputError(
            f"{file.path} has other annotations than the file before it.",
            found=f"{len(names)}: {examples(names)}",
            expected=f"{len(first.columns) - 3}: {examples(first.columns[3:])}",
        )
    for name in ("CHR", "SNP", "BP", *names):
        missing = table[name].isna().to_numpy()
        if missing.any():
            row = int(np.flatnonzero(missing)[0])
            raise InputError(f"{file.path}, line {row + 2:,}: {name} is missing.", expected="a value in every column")


# M ------------------------------------------------------------------------------------------------------------------


def _totals(
    files: Sequence[ChromosomeFile], contigs: Sequence[str], names: Sequence[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """M and M_5_50, float64 (contigs, annotations), of those that are there, and all files that were read.

    Where one file holds several contigs their number is that of all, in the first row.
    """
    totals, used = {}, [file.path for file in files]
    for name in ("M", "M_5_50"):
        paths = [file.beside(f".l2.{name}") for file in files]
        if not any(paths):
            continue
        if None in paths:
            lacking = files[paths.index(None)]
            raise InputError(
                f"{lacking.stem}.l2.{name} is not there.",
                found=f"{name} of {sum(p is not None for p in paths)} of {len(paths)} chromosomes",
            )
        values = np.zeros((len(contigs), len(names)))
        for row, path in enumerate(paths):
            assert path is not None
            numbers = read_numbers(path)
            if len(numbers) != len(names):
                raise InputError(
                    f"{path} does not fit the LD scores.",
                    found=f"{len(numbers)} numbers",
                    expected=f"{len(names)}, one for each of {examples(names)}",
                )
            values[row] = numbers
            used.append(path)
        totals[name] = values
    if not totals:
        raise InputError(
            "the number of variants that the LD scores sum over is nowhere.",
            expected=f"{files[0].stem}.l2.M_5_50 or {files[0].stem}.l2.M, and so on",
            do="fetch these files too: no heritability can be computed without",
        )
    if "M_5_50" not in totals:
        log.warning("there are no .l2.M_5_50 files; .l2.M counts rare variants too")
    return totals, used


# Weights ------------------------------------------------------------------------------------------------------------


def _weights(prefix: str | os.PathLike[str], ids: np.ndarray) -> np.ndarray:
    """LD scores of the regression's variants, by id; NaN where there is none."""
    scores = []
    for file in chromosome_files(prefix, ".l2.ldscore", "weights"):
        table = read_table(file.path, ["SNP"])
        names = [name for name in table.columns if name not in _NO_SCORES]
        if len(names) != 1:
            raise InputError(
                f"{file.path}: weights are one LD score.", found=f"{len(names)}: {examples(names)}", expected="L2"
            )
        scores.append(table.set_index("SNP")[names[0]])
    joined = pd.concat(scores)
    joined = joined[~joined.index.duplicated()]
    found = joined.reindex(ids).to_numpy(np.float64)
    missing = int(np.isnan(found).sum())
    if missing == len(ids):
        raise InputError(
            "none of the variants has a weight.",
            found=f"{examples(joined.index[:3])} (weights)\n{examples(ids[:3])} (LD scores)",
            do="give weights of the same variants",
        )
    if missing:
        log.warning("%s of %s variants have no weight", f"{missing:,}", f"{len(ids):,}")
    return found


# Overlaps of annotations --------------------------------------------------------------------------------------------


def _overlaps(
    files: Sequence[ChromosomeFile],
    contigs: Sequence[str],
    annotations: str | os.PathLike[str],
    frequencies: str | os.PathLike[str] | None,
    names: Sequence[str],
    common_only: bool,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(sums of products (contigs, a, a), whether all values are 0 or 1 (contigs, a), files that were read)."""
    if common_only and frequencies is None:
        raise InputError(
            "overlaps of annotations are over the variants that M_5_50 counts, so frequencies are needed.",
            do="give frequencies= (--frequencies), the beginning of the names of the .frq files",
        )
    annot = _by_contig(chromosome_files(annotations, ".annot", "annotations"), files, contigs, "annotations")
    frq = {}
    if common_only and frequencies is not None:
        frq = _by_contig(chromosome_files(frequencies, ".frq", "frequencies"), files, contigs, "frequencies")
    columns = [_annotation(name) for name in names]
    overlap = np.zeros((len(contigs), len(names), len(names)))
    binary = np.ones((len(contigs), len(names)), bool)
    used = []
    for row, contig in enumerate(contigs):
        used.append(annot[contig])
        common = None
        if frq:
            table = read_table(frq[contig], ["SNP", "MAF"], only_required=True)
            common = pd.Index(table["SNP"][(table["MAF"] > _COMMON) & (table["MAF"] < 1 - _COMMON)])
            used.append(frq[contig])
        for block in table_blocks(annot[contig], ["SNP"] if frq else []):
            values = _annotation_values(annot[contig], block, columns)
            if common is not None:
                values = values[block["SNP"].isin(common).to_numpy()]
            overlap[row] += values.T @ values
            binary[row] &= np.isin(values, (0, 1)).all(axis=0)
    return overlap, binary, used


def _by_contig(
    found: Sequence[ChromosomeFile], files: Sequence[ChromosomeFile], contigs: Sequence[str], what: str
) -> dict[str, str]:
    """Contig -> path; InputError unless there is one for each contig of the LD scores."""
    by_name = {plain_contig(file.chromosome): file.path for file in found}
    missing = [contig for contig in contigs if plain_contig(contig) not in by_name]
    if missing or len(files) != len(contigs):
        raise InputError(
            f"{what} are needed for each chromosome of the LD scores.",
            found=f"{what} of {examples(by_name, 30) or 'none'}",
            expected=", ".join(contigs),
        )
    return {contig: by_name[plain_contig(contig)] for contig in contigs}


def _annotation_values(path: str, block: pd.DataFrame, columns: list[str]) -> np.ndarray:
    here = [name for name in block.columns if name not in ("CHR", "SNP", "BP", "CM")]
    if set(here) != set(columns):
        raise InputError(
            f"{path} does not have the annotations of the LD scores.",
            found=f"{len(here)}: {examples(here, 6)}",
            expected=f"{len(columns)}: {examples(columns, 6)}",
        )
    values = block[columns].to_numpy(np.float64)
    if np.isnan(values).any():
        row = int(np.flatnonzero(np.isnan(values).any(axis=1))[0])
        raise InputError(f"{path}, line {int(block.index[row]) + 2:,}: an annotation is missing.")
    return values
