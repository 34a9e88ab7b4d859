"""Which samples and which variants of a source are wanted.

Samples are named by IID, or by FID and IID; variants by id, contig or region. Where nothing is left the message
shows ids of both sides, so that a difference in style is seen at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from daskgen.errors import InputError, UsageError, examples
from daskgen.inputs.files import exists
from daskgen.inputs.text import rows_of

__all__ = ["Ids", "Region", "VariantSelection", "select_samples"]

Names = str | os.PathLike[str] | Iterable[Any] | np.ndarray


class SampleColumns(Protocol):
    """What a selection of samples looks at: text arrays (samples,)."""

    @property
    def sample_id(self) -> np.ndarray: ...
    @property
    def family_id(self) -> np.ndarray: ...
    def __len__(self) -> int: ...


class VariantColumns(Protocol):
    """What a selection of variants looks at: arrays (variants,); `contig` is an index into `contig_names`."""

    @property
    def variant_id(self) -> np.ndarray: ...
    @property
    def position(self) -> np.ndarray: ...
    @property
    def contig(self) -> np.ndarray: ...
    @property
    def contig_names(self) -> Sequence[str]: ...
    def __len__(self) -> int: ...


# -- samples -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Ids:
    """Ids that a user gave: single ones (IID, or id in the store's style) and pairs (FID, IID)."""

    single: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    given_as: str

    def __len__(self) -> int:
        return len(self.single) + len(self.pairs)

    def __str__(self) -> str:
        return examples([*sorted(self.single)[:4], *(f"{f} {i}" for f, i in sorted(self.pairs)[:4])][: len(self)])

    @classmethod
    def of(cls, value: Names, argument: str) -> Ids:
        """From a file (IID, or FID IID in two columns; a header with # or the words FID, IID is known), or a list of
        IID, (FID, IID) or "FID IID".
        """
        if isinstance(value, (str, os.PathLike)):
            return cls._from_file(os.fspath(value), argument)
        single, pairs = set(), set()
        for item in value:
            words = [str(word) for word in item] if isinstance(item, (tuple, list)) else str(item).split()
            if len(words) == 1:
                single.add(words[0])
            elif len(words) == 2:
                pairs.add((words[0], words[1]))
            else:
                raise UsageError(f"{argument}: {item!r} is no id.", expected="IID, or FID and IID")
        return cls(frozenset(single), frozenset(pairs), argument)

    @classmethod
    def _from_file(cls, path: str, argument: str) -> Ids:
        single, pairs, column = set(), set(), None
        for row in _rows(path, argument):
            if column is None:  # the first line decides
                header = [word.lstrip("#") for word in row]
                column = 0 if len(row) == 1 or header[0] == "IID" else 1
                if header[0] in ("FID", "IID"):
                    continue
            if column == 0:
                single.add(row[0])
            elif len(row) > 1:
                pairs.add((row[0], row[1]))
            else:
                single.add(row[0])
        return cls(frozenset(single), frozenset(pairs), path)

    def mask(self, samples: SampleColumns, own_id: np.ndarray) -> np.ndarray:
        """Which samples are meant; `own_id` is the IID, `samples.sample_id` may be in another style.

        A source without family ids (all "0") is matched by IID alone.
        """
        individual, styled = own_id.tolist(), samples.sample_id.tolist()
        found = [a in self.single or b in self.single for a, b in zip(individual, styled, strict=True)]
        if self.pairs:
            family = samples.family_id.tolist()
            without_family = {i for _, i in self.pairs} if set(family) == {"0"} else frozenset()
            found = [
                hit or (f, i) in self.pairs or i in without_family
                for hit, f, i in zip(found, family, individual, strict=True)
            ]
        return np.array(found, dtype=bool)


def _rows(path: str, argument: str) -> Iterable[list[str]]:
    if not exists(path):
        raise InputError(
            f"{argument}: there is no file {path}.",
            do="give the path of a file, or a list of ids such as ['id1', 'id2']",
        )
    row = None
    for _, row in rows_of(path):
        yield row
    if row is None:
        raise InputError(f"{argument}: {path} is empty.")


def select_samples(
    samples: SampleColumns, own_id: np.ndarray, path: str, keep: Names | None, remove: Names | None
) -> tuple[np.ndarray | None, dict[str, int]]:
    """(index of the wanted samples, int64, or None for all; numbers dropped by reason).

    keep, remove: a file, a list or array of ids, or a boolean mask over the samples. The order stays the source's.
    Raises InputError where no sample is left.
    """
    wanted = np.ones(len(samples), bool)
    dropped: dict[str, int] = {}
    for argument, value, reason in (("keep", keep, "not in keep"), ("remove", remove, "in remove")):
        if value is None:
            continue
        if isinstance(value, np.ndarray) and value.dtype == bool:
            if value.shape != wanted.shape:
                raise UsageError(
                    f"{argument}: a mask needs one value per sample.", found=value.shape, expected=wanted.shape
                )
            named, given = value, f"a mask with {int(value.sum()):,} samples"
        else:
            ids = Ids.of(value, argument)
            named, given = ids.mask(samples, own_id), str(ids)
        stays = named if argument == "keep" else ~named
        dropped[f"samples {reason}"] = int((wanted & ~stays).sum())
        wanted &= stays
        if not wanted.any():
            raise InputError(
                f"no sample of {path} is left by {argument}.",
                found=f"{given} ({argument})\n{examples(samples.sample_id.tolist())} ({path})",
                do="check that both write the ids in the same way (IID, or FID and IID in two columns)",
            )
    return (None if wanted.all() else np.flatnonzero(wanted)), dropped


# -- variants ----------------------------------------------------------------------------------------------
def plain_contig(name: str) -> str:
    """The name without "chr", in lower case: how contigs are compared."""
    return re.sub(r"^chr(omosome)?_?", "", name.lower()) or name.lower()


@dataclass(frozen=True)
class Region:
    """Positions `start` to `end` (1-based, both included) of a contig."""

    contig: str
    start: int
    end: int

    @classmethod
    def of(cls, text: str) -> Region:
        """From "22", "22:5000-9000", "chr22:5,000-9,000" or "22:5000-" ; UsageError for anything else."""
        match = re.fullmatch(r"\s*([^:\s]+)(?::([\d,_]+)(?:-([\d,_]*))?)?\s*", text)
        if match is None:
            raise UsageError(f"region {text!r} is not understood.", expected="chr:from-to, such as 22:5000000-6000000")
        contig, first, last = match.groups()
        start = int(re.sub("[,_]", "", first)) if first else 0
        # "22:5000" is one position, "22:5000-" the rest of the contig.
        end = int(re.sub("[,_]", "", last)) if last else (start if first and last is None else np.iinfo(np.int64).max)
        if end < start:
            raise UsageError(f"region {text!r} ends before it begins.")
        return cls(contig, start, int(end))


@dataclass(frozen=True)
class VariantSelection:
    """Variants by id (extract, exclude), contig and region. `None` selects all."""

    extract: frozenset[str] | None = None
    exclude: frozenset[str] | None = None
    contigs: tuple[str, ...] | None = None
    regions: tuple[Region, ...] | None = None
    dropped: dict[str, int] = field(default_factory=dict, compare=False)

    @classmethod
    def of(
        cls,
        extract: Names | None = None,
        exclude: Names | None = None,
        contig: str | int | Sequence[str | int] | None = None,
        region: str | Sequence[str] | None = None,
    ) -> VariantSelection:
        """From the arguments of `conversion.genotypes`: ids are a file (first column) or a list."""
        contigs = None if contig is None else tuple(map(str, [contig] if isinstance(contig, (str, int)) else contig))
        regions = None if region is None else tuple(map(Region.of, [region] if isinstance(region, str) else region))
        return cls(_ids(extract, "extract"), _ids(exclude, "exclude"), contigs, regions)

    @property
    def selects_all(self) -> bool:
        return self.extract is self.exclude is self.contigs is self.regions is None

    def mask(self, table: VariantColumns) -> np.ndarray:
        """Which variants of the table are wanted; adds to `dropped` why others are not.

        As in PLINK, a variant with a negative position is never wanted.
        """
        wanted = np.ones(len(table), bool)
        self._apply(wanted, table.position >= 0, "variants with a negative position")
        if self.extract is not None or self.exclude is not None:
            ids = table.variant_id.tolist()
            if self.extract is not None:
                self._apply(wanted, np.array([i in self.extract for i in ids]), "variants not in extract")
            if self.exclude is not None:
                self._apply(wanted, np.array([i not in self.exclude for i in ids]), "variants in exclude")
        names = [plain_contig(name) for name in table.contig_names]
        if self.contigs is not None:
            chosen = {plain_contig(name) for name in self.contigs}
            self._apply(wanted, np.array([name in chosen for name in names])[table.contig], "variants on other contigs")
        if self.regions is not None:
            inside = np.zeros(len(table), bool)
            for region in self.regions:
                here = np.array([name == plain_contig(region.contig) for name in names])[table.contig]
                inside |= here & (table.position >= region.start) & (table.position <= region.end)
            self._apply(wanted, inside, "variants outside region")
        return wanted

    def _apply(self, wanted: np.ndarray, stays: np.ndarray, reason: str) -> None:
        n = int((wanted & ~stays).sum())
        if n:
            self.dropped[reason] = self.dropped.get(reason, 0) + n
        wanted &= stays

    def nothing_left(self, path: str, ids: Sequence[str], contigs: Sequence[str]) -> InputError:
        """The error for a selection that leaves no variant; `ids`, `contigs`: of the source, for comparison."""
        asked = []
        if self.extract is not None:
            asked.append(f"extract {examples(sorted(self.extract)[:4])}")
        if self.contigs is not None:
            asked.append(f"contig {examples(self.contigs)}")
        if self.regions is not None:
            asked.append(f"region {examples(f'{r.contig}:{r.start}-{r.end}' for r in self.regions)}")
        if self.exclude is not None:
            asked.append(f"exclude {examples(sorted(self.exclude)[:4])}")
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in self.dropped.items())
        return InputError(
            f"no variant of {path} is left by the selection: {reasons}.",
            found=f"ids {examples(ids[:3])}; contigs {examples(contigs)} ({path})",
            expected="; ".join(asked),
            do="check that both write ids and contigs in the same way, and the genome build of a region",
        )


def _ids(value: Names | None, argument: str) -> frozenset[str] | None:
    if value is None:
        return None
    if isinstance(value, (str, os.PathLike)):
        return frozenset(row[0] for row in _rows(os.fspath(value), argument))
    return frozenset(map(str, value))
