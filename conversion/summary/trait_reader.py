"""One file of a trait, read once: rows found in the reference, alleles aligned, every row kept or dropped."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from conversion.summary.alleles import MISSING, is_base, strand_ambiguous
from conversion.summary.drops import KEPT, REASONS, DropReport, reason_code
from conversion.summary.frequencies import FrequencyCheck
from conversion.summary.joining import Join, alleles_of_ids, choose_join, has_rs_numbers
from conversion.summary.numeric import check_numeric, floats
from conversion.summary.reference import Reference
from conversion.summary.trait import Rows, TraitPlan, TraitRows
from daskgen.errors import InputError, examples

__all__ = ["read_trait"]

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def read_trait(plan: TraitPlan, reference: Reference) -> TraitRows:
    """Read the file of `plan` to its end. InputError where it cannot be used or no row of it is kept."""
    reader = _Reader(plan, reference)
    for frame in plan.table.blocks(reader.wanted()):
        reader.take(frame)
    return reader.result()


class _Reader:
    def __init__(self, plan: TraitPlan, reference: Reference):
        self.plan, self.reference = plan, reference
        self.columns, self.effects = plan.columns, plan.effects
        self.frequency, self.info = plan.frequency, plan.info
        self.join: Join | None = None
        self.check = FrequencyCheck()
        self.read = self.other_test = self.outside = self.differ = 0
        self.rows: list[npt.NDArray[np.int32]] = []
        self.reasons: list[npt.NDArray[np.int8]] = []
        self.turned: list[Mask] = []
        self.ambiguous: list[Mask] = []
        self.kept: dict[str, list[Float64]] = {name: [] for name in plan.statistic.names}
        self.largest_n = np.nan
        self.examples: list[str] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def wanted(self) -> list[str]:
        """The columns that are read."""
        plan = self.plan
        of = plan.columns.of
        names: list[str | None] = [plan.columns.get("variant_id")]
        if not has_rs_numbers(plan.columns, plan.table.head()):
            names += [of.get("contig"), of.get("position")]
        names += [of.get("effect_allele"), of.get("other_allele"), *(plan.columns.other_among or ())]
        names += [*plan.effects.names, plan.info, plan.direction, plan.columns.test]
        names += [plan.frequency.name if plan.frequency else None, *(plan.size.columns if plan.size else ())]
        return list(dict.fromkeys(name for name in names if name is not None))

    # -- the first block -------------------------------------------------------------------------------------
    def _begin(self, frame: pl.DataFrame) -> None:
        """Checks that need values rather than names, once."""
        if self.columns.test is not None:
            frame = frame.filter(_additive(frame[self.columns.test]))
        self.join = choose_join(self.columns, self.reference, frame)
        if self.join.id_column is not None:
            self.examples = [str(value) for value in frame[self.join.id_column].head(3).to_list()]
        elif self.join.contig is not None and self.join.position is not None:
            places = zip(frame[self.join.contig].head(3), frame[self.join.position].head(3), strict=True)
            self.examples = [f"{contig}:{position}" for contig, position in places]
        said = self.effects.se_of_odds_ratio
        self.effects = self.effects.checked(self.columns, frame)
        if said is not None:
            seems = self.effects.se_seems_of_ratio(frame)
            if seems is not None and seems != said:
                what, scale = ("odds ratios", "odds_ratio") if seems else ("their logarithms", "logistic")
                self.warnings.append(
                    f"{self.columns.path}: judged by p, {self.effects.se} has the standard errors of {what}: "
                    f"scale {scale}?"
                )
        elif self.effects.se_of_odds_ratio:
            self.notes.append(f"{self.effects.se} is the standard error of the odds ratio, not of its logarithm")
        for name in (self.info, *(self.plan.size.columns if self.plan.size else ())):
            if name is not None:
                check_numeric(self.columns.path, frame[name])
        self._check_letters(frame)
        if self.frequency is not None:
            check_numeric(self.columns.path, frame[self.frequency.name])
            if not np.isfinite(self.frequency.read(frame)).any():
                self.notes.append(f"{self.frequency.name} has no value and is left alone")
                self.frequency = None
        if self.info is not None and not np.isfinite(floats(frame[self.info])).any():
            self.notes.append(f"{self.info} has no value and is left alone")
            self.info = None

    def _check_letters(self, frame: pl.DataFrame) -> None:
        column = self.columns.get("effect_allele")
        if column is None or self.plan.filters.keep_indel:
            return
        given = frame[column].cast(pl.String).drop_nulls()
        given = given.filter(~given.is_in(("NA", ".", "")))
        if len(given) and not given.str.contains("^[ACGTacgt]").any():
            raise InputError(
                f"{self.columns.path}: the alleles in {column} are not letters of bases.",
                found=", ".join(given.unique(maintain_order=True)[:4].to_list()),
                expected="A, C, G, T",
                do="translate them with the key of the genotyping array, or name the right column",
            )

    # -- every block -----------------------------------------------------------------------------------------
    def take(self, frame: pl.DataFrame) -> None:
        """Read one block of rows."""
        if self.join is None:
            self._begin(frame)
        assert self.join is not None
        self.read += frame.height
        if self.columns.test is not None:
            additive = frame.filter(_additive(frame[self.columns.test]))
            self.other_test += frame.height - additive.height
            frame = additive
        if self.join.by == "id":
            row, _ = self.join.rows(frame, self.reference, None, None)
            hit = row >= 0
            frame, row = frame.filter(pl.Series(hit)), row[hit]
            effect, other = self._alleles(frame)
        else:
            effect, other = self._alleles(frame)
            row, there = self.join.rows(frame, self.reference, effect, other)
            hit = row >= 0
            self.differ += int((there & ~hit).sum())
            frame, row, effect, other = frame.filter(pl.Series(hit)), row[hit], effect[hit], other[hit]
        self.outside += int(len(hit) - hit.sum())
        if len(row):
            self._keep(frame, row, effect, other)

    def _alleles(self, frame: pl.DataFrame) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Codes of the effect allele and the other one."""
        codes = self.reference.alleles
        if self.columns.alleles_in_id:
            effect_text, other_text = alleles_of_ids(frame[self.columns.of["variant_id"]].cast(pl.String))
        else:
            effect_text = frame[self.columns.of["effect_allele"]]
            if (pair := self.columns.other_among) is not None:
                first, second = frame[pair[0]].cast(pl.String), frame[pair[1]].cast(pl.String)
                other_text = pl.select(
                    pl.when(first == effect_text).then(second).when(second == effect_text).then(first)
                ).to_series()
            else:
                other_text = frame[self.columns.of["other_allele"]]
        return codes.encode(effect_text), codes.encode(other_text)

    def _keep(
        self,
        frame: pl.DataFrame,
        row: npt.NDArray[np.int64],
        effect: npt.NDArray[np.int32],
        other: npt.NDArray[np.int32],
    ) -> None:
        reference, filters = self.reference, self.plan.filters
        same = (effect == reference.effect[row]) & (other == reference.other[row])
        turned = (effect == reference.other[row]) & (other == reference.effect[row])
        rows = Rows(
            row,
            self.effects.read(frame),
            np.full(len(row), np.nan) if self.plan.size is None else self.plan.size.read(frame),
            None if self.frequency is None else self.frequency.read(frame),
            None if reference.frequency is None else reference.frequency[row],
            turned,
            np.full(len(row), KEPT, np.int8),
        )
        ambiguous = strand_ambiguous(effect, other)
        rows.drop((effect == MISSING) | (other == MISSING), "no_alleles")
        if not filters.keep_indel:
            rows.drop(~(is_base(effect) & is_base(other)), "indel")
        rows.drop(~(same | turned), "alleles_differ")
        if filters.ambig:
            rows.drop(ambiguous, "ambiguous")
        rows.drop(np.isnan(rows.effects.z) & ~rows.effects.invalid, "missing_values")
        rows.drop(rows.effects.invalid, "out_of_range")
        if rows.frequency is not None:
            rows.drop((rows.frequency < 0) | (rows.frequency > 1), "out_of_range")
        if self.plan.direction is not None:
            rows.drop(_mostly_absent(frame[self.plan.direction]), "few_cohorts")
        if self.info is not None:
            rows.drop(~(floats(frame[self.info]) >= filters.info), "low_info")
        with np.errstate(all="ignore"):
            values = self.plan.statistic.values(rows)
        kept = rows.reason == KEPT
        sign = np.where(turned, -1.0, 1.0)
        for name, parts in self.kept.items():
            value = values[name]
            parts.append((value * sign if name in self.plan.statistic.signed else value)[kept])
        self.rows.append(row.astype(np.int32))
        self.reasons.append(rows.reason)
        self.turned.append(turned[kept])
        self.ambiguous.append(ambiguous[kept])
        if kept.any() and np.isfinite(rows.n[kept]).any():
            self.largest_n = float(np.fmax(self.largest_n, np.nanmax(rows.n[kept])))
        if self.frequency is not None and self.frequency.counts is not None and rows.reference_frequency is not None:
            assert rows.frequency is not None
            aligned = np.where(turned, 1 - rows.frequency, rows.frequency)
            self.check.add(aligned[kept], rows.reference_frequency[kept])

    # -- the end ---------------------------------------------------------------------------------------------
    def result(self) -> TraitRows:
        """The kept rows in the order of the reference, without any copy of a repeated one."""
        path = self.columns.path
        if self.join is None:
            raise InputError(f"{path} has no rows.")
        self.join.check_build(path)
        if not self.rows:
            raise self._no_overlap()
        row, reason = np.concatenate(self.rows), np.concatenate(self.reasons)
        kept = reason == KEPT
        order: npt.NDArray[np.int32] | slice
        if (row[1:] > row[:-1]).all():  # the file has the reference's order, and so no row twice
            row, order = row[kept], slice(None)
        else:
            repeated = _repeated(row, len(self.reference))
            reason[repeated] = reason_code("duplicated")
            # Indices of the kept rows that stay: one gather per array, as arrays of millions are dear to make.
            unique = np.flatnonzero(~repeated[kept]).astype(np.int32)
            row = row[kept]
            order = _in_order(row[unique], unique, len(self.reference))
        row, turned, ambiguous = row[order], np.concatenate(self.turned)[order], np.concatenate(self.ambiguous)[order]
        counts = np.bincount(reason[reason != KEPT], minlength=len(REASONS))
        dropped = {name: int(counts[reason_code(name)]) for name in REASONS}
        dropped["other_test"] += self.other_test
        dropped["not_in_reference"] += self.outside - self.differ
        dropped["alleles_differ"] += self.differ
        report = DropReport(self.plan.name, path, self.read, len(row), int(turned.sum()), int(ambiguous.sum()), dropped)
        if not len(row):
            raise InputError(
                f"{path}: no row is left.",
                found="\n".join(report.lines()),
                do="look at the largest number: the wrong column, the wrong reference, or a filter that is too strict",
            )
        size = self.plan.size
        result = TraitRows(
            self.plan.name,
            row,
            {name: np.concatenate(parts)[order] for name, parts in self.kept.items()},
            report,
            "" if size is None else size.kind,
            "" if size is None else size.source,
            self.largest_n,
            self.notes,
            self.warnings,
        )
        self._check_frequencies(result)
        self.plan.statistic.look_at(result)
        return result

    def _no_overlap(self) -> InputError:
        reference = self.reference
        assert self.join is not None
        if self.join.by == "position":
            assert reference.contig is not None
            assert reference.position is not None
            theirs = [
                f"{reference.contigs.names[contig]}:{position}"
                for contig, position in zip(reference.contig[:3], reference.position[:3], strict=True)
                if contig >= 0
            ]
        else:
            theirs = reference.ids[:3].to_list()
        return InputError(
            f"{self.columns.path}: none of its {self.read:,} rows is in the reference.",
            found=examples(self.examples) + (f" (joined by {self.join.by})"),
            expected=f"{', '.join(theirs)} ({reference.path or 'the first traits'}, {len(reference):,} variants)",
            do="use a reference of the same ids, or one with positions of the same genome build",
        )

    def _check_frequencies(self, result: TraitRows) -> None:
        r = self.check.correlation
        if np.isnan(r) or r >= 0.5:
            return
        assert self.frequency is not None
        name = self.frequency.name
        if r > -0.5:
            result.notes.append(
                f"{name} correlates {r:.2f} with the reference's frequencies (1 where its A1 is the rarer allele)"
            )
            return
        effect, other = self.columns.of.get("effect_allele", ""), self.columns.of.get("other_allele", "")
        raise InputError(
            f"{self.columns.path}: after alignment its frequencies run against those of the reference: the effect "
            "allele seems to be the other one, which would turn all signs.",
            found=f"correlation {r:.2f} of {name} with the reference's MAF over {self.check.n:,} variants",
            expected="above 0, as A1 is the rarer allele in the usual references",
            do=f"--column effect_allele={other} --column other_allele={effect} if that is so; "
            f"--column minor_frequency={name} leaves out this check",
        )


def _in_order(row: npt.NDArray[np.int32], of: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.int32]:
    """`of` in the order of `row`, where no row of the n of the reference occurs twice; quicker than sorting."""
    place = np.full(n, -1, np.int32)
    place[row] = of
    return place[place >= 0]


def _repeated(row: npt.NDArray[np.int32], n: int) -> Mask:
    """Whether a row of the reference occurs more than once."""
    there = np.zeros(n, bool)
    there[row] = True
    if np.count_nonzero(there) == len(row):
        return np.zeros(len(row), bool)
    return np.bincount(row, minlength=n)[row] > 1


def _additive(test: pl.Series) -> pl.Series:
    text = test.cast(pl.String)
    return ((text == "ADD") | text.str.starts_with("ADD-WGR")).fill_null(False)


def _mostly_absent(direction: pl.Series) -> Mask:
    """Whether "?" stands for half of the cohorts or more; a missing text does too."""
    text = direction.cast(pl.String)
    share = text.str.count_matches("?", literal=True) / text.str.len_chars()
    return ~(share < 0.5).fill_null(False).to_numpy()
