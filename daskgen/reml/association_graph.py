"""The pass of an association scan: one task per group of output rows, which reads, tests and writes its variants.

Genotypes are read and decoded once for all phenotypes. Phenotypes with the same samples share their covariates'
basis; the columns of every group lie beside each other, zero at samples that the group has not, so that one product
serves all of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import dask
import dask.array as da
import numpy as np

from daskgen.genotypes.view import GenotypeView
from daskgen.gwas.lazy import stacked
from daskgen.kernels import genotype_codes as codes
from daskgen.kernels.association import allele_products, missing_products, planes_of
from daskgen.passes import MemoryItem, PassRunner, Plan, give_back, zeros
from daskgen.reml.association import Alleles, MissingSums, Tests, known_status, linear_tests
from daskgen.reml.mixed_association import LeftOut, mixed_tests
from daskgen.stores import StageTarget

__all__ = ["OUTPUTS", "Scan", "ScanGroup", "group_rows", "plan_scan", "write_groups"]

_LIBRARIES = 300_000_000  # resident memory of a process that has imported what a pass needs
_BLOCK = 512  # variants that are tested together

OUTPUTS = {
    "beta": "float64",
    "se": "float64",
    "t": "float64",
    "p": "float64",
    "n_called": "int32",
    "allele_frequency": "float64",
    "status": "int16",
}
"""Arrays of the result and their types; all are (trait, variant), or (variant) for one phenotype."""


@dataclass(frozen=True, eq=False)
class ScanGroup:
    """Phenotypes with the same samples, among the N samples of the scan.

    members: bool (N,); basis: Q (N, c); values: M y (N, t), zero at other samples as Q is; traits: int64 (t,), their
    rows in the result; left_out: of mixed models, what takes the place of `values`.
    """

    members: np.ndarray
    basis: np.ndarray
    values: np.ndarray
    traits: np.ndarray
    left_out: LeftOut | None = None

    @property
    def n(self) -> int:
        return int(self.members.sum())

    @cached_property
    def columns(self) -> np.ndarray:
        """[Q, M y] (N, c + t); without M y for mixed models."""
        return self.basis if self.left_out is not None else np.hstack([self.basis, self.values])

    @cached_property
    def rows(self) -> np.ndarray | None:
        """The samples, None for all."""
        return None if self.members.all() else np.flatnonzero(self.members)

    @cached_property
    def mask(self) -> np.ndarray | None:
        """The samples as a packed mask, None for all."""
        return None if self.rows is None else codes.sample_mask(self.rows, len(self.members))

    @cached_property
    def sums_of_squares(self) -> np.ndarray:
        """y'M y (t,)."""
        return np.einsum("nt,nt->t", self.values, self.values)


@dataclass(frozen=True, eq=False)
class Scan:
    """Tests of every variant of `view`, whose samples are those of the scan. Picklable.

    rows: variants of a group; handling: of missing calls; min_count, min_info: least minor allele count and imputation
    quality; info (m,): that of the variants where the source has it, else it is the dosages'.
    """

    view: GenotypeView
    groups: Sequence[ScanGroup]
    n_traits: int
    single: bool
    rows: int
    handling: str = "exclude"
    min_count: float = 20.0
    min_info: float | None = None
    info: np.ndarray | None = None

    @property
    def n_variants(self) -> int:
        return self.view.n_variants

    @property
    def n_groups(self) -> int:
        """Groups of `rows` variants."""
        return -(-self.n_variants // self.rows)

    def part(self, index: int) -> slice:
        """The variants of group `index`."""
        return slice(index * self.rows, min((index + 1) * self.rows, self.n_variants))

    @property
    def nbytes(self) -> int:
        """Bytes of the columns and indices that go to a worker."""
        of_groups = sum(
            g.columns.nbytes + g.values.nbytes + (0 if g.left_out is None else g.left_out.nbytes) for g in self.groups
        )
        return of_groups + self.view.nbytes

    @cached_property
    def planes(self) -> np.ndarray:
        """The columns of all groups beside each other, as the kernel takes them."""
        return planes_of(np.hstack([group.columns for group in self.groups]))

    # -- one group of variants -------------------------------------------------------------------------------
    def test(self, part: slice) -> dict[str, np.ndarray]:
        """The outputs of the variants `part`: (traits, n), or (n,) for one phenotype."""
        n = part.stop - part.start
        kept = {name: zeros((self.n_traits, n), np.dtype(dtype)) for name, dtype in OUTPUTS.items()}
        for first, genotypes in self._chunks(part):
            for start in range(0, len(genotypes), _BLOCK):
                block = genotypes[start : start + _BLOCK]
                position = first + start
                self._test_block(block, slice(position, position + len(block)), kept, part.start)
        return {name: values[0] for name, values in kept.items()} if self.single else kept

    def _chunks(self, part: slice) -> Iterator[tuple[int, np.ndarray]]:
        """(position of the first variant, genotypes) of every chunk that holds variants of `part`, read one by one."""
        chunk_rows = self.view.chunk_rows
        starts = [rows.start for _, _, rows in chunk_rows]
        first = bisect_right(starts, part.start) - 1
        last = bisect_right(starts, part.stop - 1)
        for index in range(first, last):
            rows = chunk_rows[index][2]
            start, stop = max(rows.start, part.start), min(rows.stop, part.stop)
            yield start, self.view.read_codes(index)[start - rows.start : stop - rows.start]

    def _test_block(self, genotypes: np.ndarray, rows: slice, kept: dict[str, np.ndarray], origin: int) -> None:
        products = allele_products(genotypes, self.planes)
        at = slice(rows.start - origin, rows.stop - origin)
        column = 0
        for group in self.groups:
            width = group.columns.shape[1]
            alleles = self._alleles(genotypes, group)
            status = known_status(alleles, self.min_count, self._info(alleles, rows), self.min_info or 0.0)
            missing = self._missing(genotypes, group, alleles)
            own = products[:, column : column + width]
            column += width
            if group.left_out is None:
                found = linear_tests(own, alleles, group.sums_of_squares, missing, status, handling=self.handling)
            else:
                found = mixed_tests(own, genotypes, rows, alleles, missing, status, group.left_out)
            self._keep(found, alleles, group.traits, at, kept)

    def _alleles(self, genotypes: np.ndarray, group: ScanGroup) -> Alleles:
        if self.view.use_dosage:
            return Alleles(group.n, *codes.dosage_moments(genotypes, group.rows))
        counts = codes.count_codes(genotypes, len(group.members), mask=group.mask).astype(np.float64)
        return Alleles(
            group.n,
            counts[:, :3].sum(axis=1),
            counts[:, 1] + 2 * counts[:, 2],
            counts[:, 1] + 4 * counts[:, 2],
        )

    def _info(self, alleles: Alleles, rows: slice) -> np.ndarray | None:
        if self.min_info is None:
            return None
        return alleles.info if self.info is None else self.info[rows]

    def _missing(self, genotypes: np.ndarray, group: ScanGroup, alleles: Alleles) -> MissingSums:
        rows = np.flatnonzero(alleles.called < group.n)
        fixed = group.basis.shape[1] if self.handling == "exclude" and group.left_out is None else 0
        return MissingSums(rows, *missing_products(genotypes, rows, group.columns, fixed))

    def _keep(self, found: Tests, alleles: Alleles, traits: np.ndarray, at: slice, kept: dict[str, np.ndarray]) -> None:
        for name, values in (
            ("beta", found.beta),
            ("se", found.se),
            ("t", found.statistic),
            ("p", np.exp(found.log_p)),
        ):
            kept[name][traits, at] = values.T
        for name, values in (
            ("n_called", alleles.called),
            ("allele_frequency", alleles.frequency),
            ("status", found.status),
        ):
            kept[name][traits, at] = values

    # -- lazily ----------------------------------------------------------------------------------------------
    def lazy(self) -> dict[str, da.Array]:
        """The outputs as Dask arrays, a block a group."""
        whole = dask.delayed(self, pure=True, traverse=False)
        parts = [
            dask.delayed(_test_group, pure=True)(whole, index, dask_key_name=f"association-{whole.key}-{index}")
            for index in range(self.n_groups)
        ]
        lengths = [self.part(index).stop - self.part(index).start for index in range(self.n_groups)]
        shape = () if self.single else (self.n_traits,)
        return stacked(parts, lengths, {name: (shape, dtype) for name, dtype in OUTPUTS.items()})


def group_rows(view: GenotypeView) -> int:
    """Variants of a group: whole chunks of the source, from 16,384 to 65,536, so many that there are 8 groups.

    A group is a chunk of each array of the result: small ones would be many files where there are many phenotypes.
    """
    chunk = min(view.reader.rows_per_chunk, view.n_variants)
    wanted = min(max(view.n_variants // 8, 16_384), 65_536)
    return min(chunk * max(1, -(-wanted // chunk)), view.n_variants)


def _test_group(scan: Scan, index: int) -> dict[str, np.ndarray]:
    return scan.test(scan.part(index))


def plan_scan(scan: Scan, *, bytes_per_row: float, files: int, memory_limit: int) -> Plan:
    """What the pass reads, writes and needs in memory, per process. bytes_per_row, files: of the result."""
    executor = PassRunner().executor()
    processes = 1 if executor.in_process else max(1, len(executor.workers))
    threads = max(1, executor.n_threads // processes)
    view, fewer = scan.view, "fewer threads"
    width = max((g.columns.shape[1] for g in scan.groups), default=1)
    fixed = max((g.basis.shape[1] for g in scan.groups), default=0)
    of_outputs = scan.n_traits * sum(np.dtype(dtype).itemsize for dtype in OUTPUTS.values())
    chunk = min(view.reader.rows_per_chunk, view.n_variants)
    memory = [
        MemoryItem("Python and its libraries", _LIBRARIES),
        MemoryItem("covariates and phenotypes", 2 * scan.nbytes, lower="fewer phenotypes at once"),
        MemoryItem(
            "chunks being read",
            threads * chunk * (view.row_bytes + view.source_row_bytes),
            lower="a store with smaller chunks (--chunk-mb)",
        ),
        MemoryItem(f"results of {scan.rows:,} variants", threads * 2 * scan.rows * of_outputs, lower=fewer),
        MemoryItem("blocks being tested", threads * 8 * _BLOCK * width * (8 + 2 * fixed), lower=fewer),
    ]
    return Plan(
        f"{scan.n_variants:,} variants, {view.n_samples:,} samples, {scan.n_traits} phenotype"
        f"{'s' * (scan.n_traits > 1)} in {len(scan.groups)} group{'s' * (len(scan.groups) > 1)} of samples",
        bytes_per_pass=scan.n_variants * view.source_row_bytes,
        bytes_written=int(bytes_per_row * scan.n_variants),
        files_written=files,
        memory=memory,
        memory_limit=memory_limit // processes,
        workers=f"{processes} process{'es' * (processes > 1)} of {threads} thread{'s' * (threads > 1)}",
    )


def write_groups(scan: Scan, indices: Sequence[int], target: StageTarget) -> None:
    """Run the pass for the groups `indices` on the current scheduler; each task writes its rows."""
    unit = float(scan.rows * scan.view.source_row_bytes)
    for _ in PassRunner().run_map(_write_group, indices, scan, target, label="variants", unit_bytes=unit):
        pass


def _write_group(index: int, scan: Scan, target: StageTarget) -> None:
    found = scan.test(scan.part(index))
    target.write(index, found)
    give_back(found)
