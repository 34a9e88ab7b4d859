"""Genotypes with known truth, written straight to a store, at any size."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from daskgen import config, limits
from daskgen.errors import UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.kernels.genotype_codes import count_codes, packed_width
from daskgen.passes import MemoryItem, Plan, run_map
from daskgen.passes.executors import current_executor
from daskgen.simulate.architecture import whole
from daskgen.simulate.cohort import Cohort
from daskgen.simulate.genome import genome_of
from daskgen.simulate.store_plan import STATISTICS, column_names, group_rows, store_arrays
from daskgen.stores import RunKey, StageTarget, StoreWriter, column_layout

__all__ = ["genotypes"]

_LARGEST_LD = 0.99
_COLUMN_BYTES = 900  # a variant of a chunk of columns: text as Python strings and as it is stored


@known_arguments()
def genotypes(
    path: str | os.PathLike[str],
    *,
    n_samples: int,
    n_variants: int,
    missing_rate: float = 0.0,
    maf: tuple[float, float] = (0.01, 0.5),
    ld: float = 0.9,
    families: int | None = None,
    populations: int = 1,
    fst: float = 0.05,
    contigs: int | Mapping[str, int] | None = None,
    seed: int = 0,
    chunk_mb: float | None = None,
    memory_limit: str | int | float | None = None,
    force: bool = False,
    resume: bool = False,
) -> str:
    """Simulate genotypes and write them to a store; returns its path.

    Parameters
    ----------
    path
        Where the store goes.
    n_samples, n_variants
        Its size.
    missing_rate
        Probability that a call is missing, in [0, 1).
    maf
        The counted allele's frequency p is uniform between these two, at most 0.5.
    ld
        rho: probability, in [0, 0.99], that a haplotype's ancestral segment goes on from one variant to the next.
        Variants d apart have D' = +-rho^d; 0 gives linkage equilibrium. Two variants of frequencies p <= q have the
        expected r^2 rho^(2 d) p (1 - q) / (q (1 - p)), or, where their counted alleles repel each other (half of the
        pairs), rho^(2 d) p q / ((1 - p) (1 - q)). The default 0.9 makes segments of ten variants.
    families
        Number of full sibs in each family, at least 2 (the last family may be smaller); their parents are drawn and
        not kept. None: unrelated samples.
    populations, fst
        Number of populations that the samples come from in equal parts, one after the other, and their F_ST (Balding
        and Nichols 1995), in (0, 1).
    contigs
        None: the 22 human autosomes; a number: so many contigs of 100 Mb; or a mapping from name to length in base
        pairs. They share the variants in proportion to their lengths, evenly spaced; 1 cM per Mb.
    seed
        Whole number, at least 0. The content depends on it and on the arguments above, not on chunks or workers.
    chunk_mb
        Size of a chunk in 10**6 bytes; None: 8 (setting chunk-mb).
    memory_limit
        Refuse a plan that needs more; None: the limit of the job.
    force, resume
        Replace a store that daskgen made; go on with an interrupted run of the same call.

    The store is one of kind "genotypes" (see the store specification) with the truth beside it:
    `variant_true_frequency` (p), `variant_mirrored` (1 where the counted allele is on the other end of its segments:
    the alleles of two variants repel each other if one of them is mirrored), `variant_population_frequency` (variants,
    populations) and `sample_population` where there are several, and the attribute `simulation` with the arguments.
    The model is written out in `daskgen.simulate.cohort`.

    Raises UsageError for arguments out of range, PlanError for a plan over the memory limit, StoreError for what lies
    at `path`.
    """
    cohort = Cohort(
        n_samples=whole("n_samples", n_samples, 1),
        genome=genome_of(contigs, whole("n_variants", n_variants, 1, 2**32 - 1)),
        seed=whole("seed", seed, 0),
        missing_rate=_number("missing_rate", missing_rate, 0 <= missing_rate < 1, "from 0 up to, without, 1"),
        maf=_frequencies(maf),
        ld=_number("ld", ld, 0 <= ld <= _LARGEST_LD, f"0 to {_LARGEST_LD}"),
        family_size=None if families is None else whole("families", families, 2),
        n_populations=whole("populations", populations, 1),
        fst=_number("fst", fst, 0 < fst < 1, "between 0 and 1"),
    )
    n_groups = -(-cohort.n_samples // cohort.samples_per_group)
    if cohort.n_populations > n_groups:
        raise UsageError("there are more populations than founders.", found=f"{populations}", expected=f"<= {n_groups}")
    arrays, rows = store_arrays(cohort, chunk_mb), group_rows(cohort, chunk_mb)
    _plan(cohort, rows, memory_limit).check()
    model = {
        "n_samples": cohort.n_samples,
        "n_variants": cohort.n_variants,
        "missing_rate": cohort.missing_rate,
        "maf": list(cohort.maf),
        "ld": cohort.ld,
        "families": cohort.family_size,
        "populations": cohort.n_populations,
        "fst": cohort.fst if cohort.n_populations > 1 else None,
        "contigs": dict(zip(cohort.genome.names, cohort.genome.lengths, strict=True)),
        "seed": cohort.seed,
    }
    with StoreWriter(
        path,
        kind="genotypes",
        arrays=arrays,
        run=RunKey("simulate genotypes", model | {"chunk_mb": chunk_mb}),
        provenance={"sources": [], "arguments": model, "counted_allele": "simulated", "dropped": {}},
        attrs={"n_samples": cohort.n_samples, "counted_allele": "simulated", "simulation": model},
        force=force,
        resume=resume,
    ) as writer:
        if not writer.already_complete:
            _write(writer, cohort, rows, column_names(arrays))
        return str(writer.finish())


def _write(writer: StoreWriter, cohort: Cohort, rows: int, columns: list[str]) -> None:
    """Samples and contigs, then calls, then the columns of the variants, which need what was counted in the calls."""
    writer.write("samples", **cohort.sample_columns())
    names = np.array(cohort.genome.names, dtype=np.dtypes.StringDType())
    writer.write("contigs", contig_id=names, contig_role=np.zeros(len(names), np.uint8))
    calls = writer.stage("genotypes", arrays=["call_genotype_packed"], blocks={"variants": rows})
    counted = np.empty(cohort.n_variants, STATISTICS)
    unit = float(rows * packed_width(cohort.n_samples))
    for task, groups, label in ((_count_group, calls.done, "recount"), (_write_group, calls.pending, "simulate")):
        for index, records in run_map(task, groups, cohort, calls.target, label=label, unit_bytes=unit):
            counted[calls.target.ranges(index)["variants"]] = records
    step = column_layout(cohort.n_variants).chunks[0]
    stage = writer.stage("variants", arrays=columns, blocks={"variants": step})
    for _ in run_map(_write_columns, stage.pending, cohort, stage.target, counted, label="columns"):
        pass


def _write_group(index: int, cohort: Cohort, target: StageTarget) -> np.ndarray:
    """Simulate and write one group of variants; returns what was counted in it."""
    rows = target.ranges(index)["variants"]
    packed = cohort.packed(rows.start, rows.stop)
    target.write(index, {"call_genotype_packed": packed})
    return _statistics(packed, cohort.n_samples)


def _count_group(index: int, cohort: Cohort, target: StageTarget) -> np.ndarray:
    """The same for a group that an earlier run wrote."""
    return _statistics(target.read(index)["call_genotype_packed"], cohort.n_samples)


def _statistics(packed: np.ndarray, n_samples: int) -> np.ndarray:
    """STATISTICS of each variant; the frequency is NaN where no call is there."""
    counts = count_codes(packed, n_samples)
    records = np.empty(len(packed), STATISTICS)
    records["n_called"] = counts[:, :3].sum(axis=1)
    records["n_het"] = counts[:, 1]
    with np.errstate(invalid="ignore"):
        records["allele_frequency"] = (counts[:, 1] + 2.0 * counts[:, 2]) / (2.0 * records["n_called"])
    return records


def _write_columns(index: int, cohort: Cohort, target: StageTarget, counted: np.ndarray) -> None:
    """Write one group of the columns of the variants."""
    rows = target.ranges(index)["variants"]
    records = counted[rows]
    statistics = {f"variant_{name}": np.ascontiguousarray(records[name]) for name in STATISTICS.names or ()}
    target.write(index, statistics | cohort.variant_columns(rows.start, rows.stop))


def _plan(cohort: Cohort, rows: int, memory_limit: str | int | float | None) -> Plan:
    """What each process needs: it does not grow with the number of variants, but for 12 bytes a variant."""
    executor = current_executor()
    threads = max(executor.workers.values())
    processes = 1 if executor.in_process else len(executor.workers)
    group = min(rows, cohort.n_variants) * packed_width(cohort.n_samples)
    return Plan(
        title=f"{cohort.n_variants:,} variants x {cohort.n_samples:,} samples, {min(rows, cohort.n_variants):,} a task",
        bytes_written=cohort.n_variants * packed_width(cohort.n_samples),
        memory=[
            MemoryItem("calls being made and written", threads * 2 * group, lower="a smaller --chunk-mb"),
            MemoryItem("columns of samples", 600 * cohort.n_samples, lower="fewer samples"),
            MemoryItem("columns of variants", _COLUMN_BYTES * min(cohort.n_variants, config.get("column-rows"))),
            MemoryItem("counts of all variants", STATISTICS.itemsize * cohort.n_variants),
            MemoryItem("interpreter and libraries", config.get("cache-reserve")),
        ],
        memory_limit=limits.memory_limit(memory_limit) // processes,
    )


def _number(name: str, value: float, fits: bool, expected: str) -> float:
    if not fits:
        raise UsageError(f"{name} is out of range.", found=repr(value), expected=expected)
    return float(value)


def _frequencies(maf: tuple[float, float]) -> tuple[float, float]:
    low, high = (float(value) for value in maf)
    _number("maf", low, 0 < low <= high <= 0.5, "two frequencies with 0 < first <= second <= 0.5")
    return low, high
