"""The result of an association scan: a lazy Dataset, and how it goes straight to a store."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from daskgen import limits
from daskgen.genotypes.source import GenotypeSource
from daskgen.gwas.layout import array_plans, attach_run, computed
from daskgen.gwas.storing import plain, run_key, small_arrays, store_attributes
from daskgen.passes import Checkpoint
from daskgen.reml.association import STATUS_TEXT, Status
from daskgen.reml.association_graph import OUTPUTS, Scan, plan_scan, write_groups
from daskgen.stores import ChunkLayout, RunKey, StoreLike, StoreWriter, column_layout, n_objects

__all__ = ["scan_dataset"]

log = logging.getLogger("daskgen.reml")

_TEXT = np.dtypes.StringDType()
_COLUMNS = ("variant_id", "variant_allele", "variant_contig", "variant_position")

STATUS_ATTRS: Mapping[str, Any] = {
    "flag_values": [int(status) for status in Status],
    "flag_meanings": " ".join(status.name.lower() for status in Status),
    "valid": [int(Status.TESTED)],
    "table": {str(int(status)): STATUS_TEXT[status] for status in Status},
}
"""Attributes of `status`: the meaning of its codes, for programs (as CF has it) and in words."""


def scan_dataset(
    scan: Scan,
    source: GenotypeSource,
    phenotypes: Sequence[str],
    *,
    arguments: Mapping[str, Any],
    inputs: Sequence[Any],
    sources: Sequence[str],
    distribution: str,
    more: Mapping[str, Any] | None = None,
    checkpoint: Checkpoint | None = None,
) -> xr.Dataset:
    """The tests of `scan` as a lazy Dataset with the accessor `.dg`.

    phenotypes: by row of the result; arguments: what the tests depend on; sources: names of the files they are made of;
    distribution: of the statistic, "t" or "normal"; more: further attributes; checkpoint: state of what came before,
    removed when all tests are written.
    """
    dims = ("variant",) if scan.single else ("trait", "variant")
    variables: dict[str, Any] = {name: (dims, array) for name, array in scan.lazy().items()}
    variables["status"] = (*variables["status"], dict(STATUS_ATTRS))
    rank, size = (np.zeros(scan.n_traits, np.int32) for _ in range(2))
    for group in scan.groups:
        rank[group.traits], size[group.traits] = group.basis.shape[1], group.n
    names = np.array(list(phenotypes), dtype=_TEXT)
    for name, values in (("trait", names), ("n_fixed", rank), ("n_samples", size)):
        variables[name] = ((), values[0]) if scan.single else (("trait",), values)
    variables |= _variant_columns(source, scan)
    attrs = {
        "kind": "gwas",
        "command": "reml-gwas",
        "arguments": RunKey("reml-gwas", arguments).as_dict()["arguments"],  # arrays by their hash
        "inputs": list(inputs),
        "traits": list(phenotypes),
        "distribution": distribution,
        "missing_calls": scan.handling,
        **(more or {}),
    }
    return attach_run(xr.Dataset(variables, attrs=attrs), _ScanRun(scan, sources, checkpoint))


def _variant_columns(source: GenotypeSource, scan: Scan) -> dict[str, Any]:
    """The columns of the scanned variants, lazy where the source's are."""
    dataset, found = source.dataset, {}
    names = {"variants": "variant", "alleles": "allele"}
    for name in _COLUMNS:
        if name in dataset.variables:
            variable = dataset.variables[name]
            if scan.view.variants is not None:
                variable = variable.isel(variants=scan.view.variants)
            dims = tuple(names.get(str(dim), str(dim)) for dim in variable.dims)
            found[name] = xr.Variable(dims, variable.data)
    if "variant_id" not in found:
        ids = source.variant_id if scan.view.variants is None else source.variant_id[scan.view.variants]
        found["variant_id"] = xr.Variable(("variant",), ids.astype(_TEXT))
    if "contig_id" in dataset.variables and "variant_contig" in found:
        found["contig_id"] = xr.Variable(("contig",), np.asarray(dataset["contig_id"].values))
    return found


@dataclass(frozen=True, eq=False)
class _ScanRun:
    """Writes the whole of a lazy result by the pass over its variants."""

    scan: Scan
    sources: Sequence[str]
    checkpoint: Checkpoint | None = None

    def to_store(self, dataset: xr.Dataset, path: StoreLike, *, force: bool, resume: bool) -> str:
        """The tests of every variant, as a store; see `daskgen.gwas.layout.Run`."""
        # Columns lie in chunks of their own, those of the source as a rule, so that each is decoded once.
        columns = [str(name) for name, v in dataset.variables.items() if "variant" in v.dims and name not in OUTPUTS]
        by_name = {plan.name: plan for plan in array_plans(dataset, self.scan.rows)}
        by_name |= {plan.name: plan for plan in array_plans(dataset) if plan.name in columns}
        plans = list(by_name.values())
        plan = plan_scan(
            self.scan,
            bytes_per_row=self.scan.n_traits * sum(np.dtype(dtype).itemsize for dtype in OUTPUTS.values()) + 60.0,
            files=sum(n_objects(one.shape, ChunkLayout(one.chunks, one.shards)) for one in plans),
            memory_limit=limits.memory_limit(),
        )
        plan.check()
        for line in plan.lines():
            log.info("%s", line)
        with StoreWriter(
            path,
            kind="gwas",
            arrays=plans,
            run=run_key(dataset),
            provenance={
                "sources": [{"name": name} for name in self.sources],
                "arguments": dict(dataset.attrs["arguments"]),
                "inputs": dataset.attrs["inputs"],
                "effect_allele": "the second of variant_allele",
            },
            attrs=store_attributes(dataset.attrs),
            force=force,
            resume=resume,
        ) as writer:
            if not writer.already_complete:
                writer.write("labels", **small_arrays(dataset))
                results = writer.stage("results", arrays=list(OUTPUTS), blocks={"variant": self.scan.rows})
                write_groups(self.scan, results.pending, results.target)
                rows = column_layout(dataset.sizes["variant"]).chunks[0]
                others = writer.stage("variants", arrays=columns, blocks={"variant": rows})
                for index in others.pending:
                    part = dataset.isel(variant=others.target.ranges(index)["variant"])
                    values = computed([part[name].data for name in columns])
                    others.target.write(index, {n: plain(np.asarray(v)) for n, v in zip(columns, values, strict=True)})
            url = writer.finish().url
        if self.checkpoint is not None:
            self.checkpoint.remove()
        return url
