"""From the arguments of a call to what is going to be read: the view of the source, its samples, contigs, roles."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from conversion.allele_statistics import HaploidSamples
from conversion.calls import Calls
from conversion.genomes import Genome, genome_of, roles_of
from conversion.row_set import RowSet
from conversion.scan import scan_variants
from conversion.source import CallBlock, GenotypeSource, SampleTable
from conversion.sources import Paths, open_source
from conversion.view import SourceView
from daskgen.errors import InputError, UsageError
from daskgen.inputs.selection import Names, VariantSelection, select_samples
from daskgen.kernels.dosages import DOSAGE_BITS, HARD_CALL_THRESHOLD
from daskgen.passes import run_map

__all__ = ["Arguments", "Prepared", "prepare"]

log = logging.getLogger("daskgen.conversion")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A source with everything that was decided about it before its genotypes are read.

    `calls`: of the selected variants and samples; `samples`: the selected samples; `first`: (id, other allele,
    counted allele) of the first three variants; `dropped`: numbers left out, by reason; `all_variants`: whether none
    was left out, so that the whole file is read; `passes`: over the genotype files, those included that are done.
    """

    calls: Calls
    samples: SampleTable
    genome: Genome
    first: Sequence[tuple[str, str, str]]
    dropped: dict[str, int]
    all_variants: bool
    passes: int

    @property
    def source(self) -> GenotypeSource:
        """The source with the selection applied."""
        return self.calls.source


@dataclass(frozen=True)
class Arguments:
    """What `conversion.genotypes` and `conversion.open` are told about a source; the former describes it."""

    format: str | None = None
    sample_file: str | os.PathLike[str] | None = None
    ref: Literal["last", "first"] | None = None
    keep: Names | None = None
    remove: Names | None = None
    extract: Names | None = None
    exclude: Names | None = None
    contig: str | int | Sequence[str | int] | None = None
    region: str | Sequence[str] | None = None
    maf_min: float | None = None
    missing_max: float | None = None
    id_style: Literal["iid", "fid_iid"] = "iid"
    split_multiallelic: bool = True
    dosages: Literal["auto"] | bool = "auto"
    half_calls: Literal["missing", "refuse"] = "missing"
    genome: str | os.PathLike[str] = "human"
    hard_call_threshold: float = HARD_CALL_THRESHOLD
    dosage_bits: Literal[16, 8] = 16
    hard_calls: bool = True
    default_contig: str | None = None
    variant_file: str | os.PathLike[str] | None = None

    def check(self) -> None:
        """UsageError for what cannot be meant."""
        for name, value, allowed in (
            ("ref", self.ref, (None, "last", "first")),
            ("id_style", self.id_style, ("iid", "fid_iid")),
            ("dosages", self.dosages, ("auto", True, False)),
            ("half_calls", self.half_calls, ("missing", "refuse")),
            ("dosage_bits", self.dosage_bits, tuple(DOSAGE_BITS)),
        ):
            if value not in allowed:
                raise UsageError(f"{name}={value!r} is not understood.", expected=", ".join(map(repr, allowed)))
        for name, number, highest in (("maf_min", self.maf_min, 0.5), ("missing_max", self.missing_max, 1.0)):
            if number is not None and not 0 <= number <= highest:
                raise UsageError(f"{name} is out of range.", found=number, expected=f"0 to {highest}")
        if not 0 <= self.hard_call_threshold < 0.5:
            raise UsageError(
                "hard_call_threshold is out of range.",
                found=self.hard_call_threshold,
                expected="at least 0 and below 0.5: how far a dosage may be from a whole number and still be a call",
            )
        if not self.hard_calls and self.dosages is False:
            raise UsageError("hard_calls=False and dosages=False leave nothing to store.")


def prepare(source: Paths, given: Arguments, *, in_order: bool = True) -> Prepared:
    """Open the source, read and check its tables, and select.

    in_order: whether files that can only be read from their beginning will do.
    """
    species = genome_of(given.genome)
    selection = VariantSelection.of(given.extract, given.exclude, given.contig, given.region)
    given.check()
    opened = open_source(
        source,
        format=given.format,
        sample_file=None if given.sample_file is None else os.fspath(given.sample_file),
        split_multiallelic=given.split_multiallelic,
        dosages=given.dosages,
        in_order=in_order,
        hard_call_threshold=given.hard_call_threshold,
        default_contig=given.default_contig,
        variant_file=None if given.variant_file is None else os.fspath(given.variant_file),
        half_calls=given.half_calls,
    )
    if not given.hard_calls and not opened.has_dosage:
        raise InputError(
            f"{opened.path} has hard calls only, so they cannot be left out.", do="leave out --no-hard-calls"
        )
    if given.dosages is True and not opened.has_dosage:
        raise InputError(f"{opened.path} has no dosages.", do='dosages="auto" takes the hard calls')

    samples = opened.samples()
    own_id = samples.sample_id
    if given.id_style == "fid_iid":
        samples = samples.with_joined_ids()
    samples.check_unique(opened.path)
    index, dropped = select_samples(samples, own_id, opened.path, given.keep, given.remove)
    scan = scan_variants(opened, selection)
    if index is not None:
        samples = samples.take(index)

    flipped = given.ref is not None and (given.ref == "first") != opened.reference_is_first
    if flipped and opened.has_multiallelic:
        raise InputError(
            f"{opened.path} has variants with several ALT alleles, so REF cannot be the counted allele.",
            do="leave out ref (--ref), or make the file biallelic: plink2 --max-alleles 2",
        )
    first = [(name, counted, other) if flipped else (name, other, counted) for name, other, counted in scan.first]
    with_dosage = opened.has_dosage and given.dosages is not False
    view: GenotypeSource = opened
    if index is not None or scan.rows is not None or flipped or with_dosage != opened.has_dosage:
        view = SourceView(opened, index, scan.rows, flipped, with_dosage)
    roles = roles_of(species, scan.contigs.names)
    prepared = Prepared(
        calls=Calls(
            view,
            scan.contigs,
            roles,
            HaploidSamples.of(samples.sex, species.haploid_sex),
            given.dosage_bits,
            None if given.hard_calls else given.hard_call_threshold,
        ),
        samples=samples,
        genome=species,
        first=first,
        dropped={reason: n for reason, n in (dropped | scan.dropped).items() if n},
        all_variants=scan.rows is None,
        passes=view.passes,
    )
    if given.maf_min is not None or given.missing_max is not None:
        prepared = _filter_by_frequency(prepared, given.maf_min, given.missing_max)
    return prepared


def _filter_by_frequency(prepared: Prepared, maf_min: float | None, missing_max: float | None) -> Prepared:
    """Leave out variants by allele frequency and missing calls in the selected samples: one more pass."""
    source = prepared.source
    rows = source.rows_per_chunk
    keep = np.empty(source.n_variants, bool)
    dropped = dict(prepared.dropped)
    n_rare = n_missing = 0
    indices = range(-(-source.n_variants // rows))
    found: Iterable[tuple[int, Any]]
    if source.sequential:
        ranges = [(index * rows, min((index + 1) * rows, source.n_variants)) for index in indices]
        found = (
            (index, _rare_and_missing(prepared.calls, index * rows, block, maf_min, missing_max))
            for index, block in enumerate(prepared.calls.stream(ranges))
        )
    else:
        found = run_map(_frequency_task, indices, prepared.calls, rows, maf_min, missing_max, label="frequencies")
    for index, (rare, missing) in found:
        keep[index * rows : index * rows + len(rare)] = ~(rare | missing)
        n_missing += int(missing.sum())
        n_rare += int((rare & ~missing).sum())
    for reason, n in ((f"missing in more than {missing_max}", n_missing), (f"minor allele below {maf_min}", n_rare)):
        if n:
            dropped[f"variants {reason}"] = n
    if not keep.any():
        raise InputError(
            f"no variant of {source.path} is left by maf_min and missing_max.",
            found=", ".join(f"{n:,} {reason}" for reason, n in dropped.items()),
            do="lower --maf-min or raise --missing-max",
        )
    prepared = replace(prepared, passes=prepared.passes + 1)
    if keep.all():
        return prepared
    view = source if isinstance(source, SourceView) else SourceView(source)
    selected = keep
    if view.rows is not None:
        selected = view.rows.mask()
        selected[selected] = keep
    contigs = prepared.calls.contigs.keep(keep)
    filtered = replace(view, rows=RowSet(selected))
    table = next(filtered.variant_tables())
    return replace(
        prepared,
        calls=replace(prepared.calls, source=filtered, contigs=contigs, roles=roles_of(prepared.genome, contigs.names)),
        first=[(i, a, b) for i, (a, b) in zip(table.variant_id[:3].tolist(), table.allele[:3].tolist(), strict=True)],
        dropped=dropped,
        all_variants=False,
    )


def _frequency_task(
    index: int, calls: Calls, rows: int, maf_min: float | None, missing_max: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """(too rare, missing too often) of one block of variants."""
    start, stop = index * rows, min((index + 1) * rows, calls.n_variants)
    return _rare_and_missing(calls, start, calls.read(start, stop), maf_min, missing_max)


def _rare_and_missing(
    calls: Calls, start: int, block: CallBlock, maf_min: float | None, missing_max: float | None
) -> tuple[np.ndarray, np.ndarray]:
    statistics, _ = calls.statistics(start, block)
    n = len(block.packed)
    frequency = statistics["allele_frequency"]
    # A variant that nobody is called at has no frequency, so it is not above any.
    rare = np.zeros(n, bool) if maf_min is None else ~(np.minimum(frequency, 1 - frequency) >= maf_min)
    share_missing = 1 - statistics["n_called"] / calls.source.n_samples
    return rare, np.zeros(n, bool) if missing_max is None else share_missing > missing_max
