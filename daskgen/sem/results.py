"""The result of a per-SNP model: a lazy Dataset, and how it goes straight to a store."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from daskgen import limits
from daskgen.gwas.layout import Described, Shape, array_plans, attach_run
from daskgen.gwas.storing import small_arrays, store_attributes
from daskgen.sem.effects import Sumstats, VariantColumns, open_effects
from daskgen.sem.graph import Output, Scan, plan_scan, write_groups
from daskgen.sem.per_snp import STATUS_TEXT, PerSnpModel, Status
from daskgen.stores import (
    ArrayPlan,
    ChunkLayout,
    CopiedColumns,
    RunKey,
    StoreLike,
    StoreWriter,
    column_layout,
    n_objects,
)

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ParameterRow", "ScanResult", "scan_result"]

log = logging.getLogger("daskgen.sem")

_TEXT = np.dtypes.StringDType()

STATUS_ATTRS: Mapping[str, Any] = {
    "flag_values": [int(status) for status in Status],
    "flag_meanings": " ".join(status.name.lower() for status in Status),
    "valid": [int(Status.CONVERGED), int(Status.SMOOTHED)],
    "table": {str(int(status)): STATUS_TEXT[status] for status in Status},
}
"""Attributes of `status`: the meaning of its codes, for programs (as CF has it) and in words."""


@dataclass(frozen=True)
class ParameterRow:
    """A row of the model's table of parameters, as R lists them.

    label: lhs op rhs without blanks; free: its number among the free parameters, 0 for a fixed or defined one; name:
    the user's label in the model, empty for none.
    """

    label: str
    free: int = 0
    name: str = ""


def scan_result(
    model: PerSnpModel,
    sumstats: Sumstats | Sequence[Sumstats],
    *,
    command: str,
    arguments: Mapping[str, Any],
    inputs: Sequence[str] = (),
    table: Sequence[ParameterRow] = (),
    smooth_check: bool = False,
    common_factor: bool = False,
    twas: bool = False,
) -> ScanResult:
    """The fits of `model` at every SNP of `sumstats`: one row per variant, in the order of the source.

    Parameters
    ----------
    model
        What is fitted; its traits are matched by name.
    sumstats
        Store, Dataset, or a list of these.
    command, arguments, inputs
        What made the result, with everything that affects numbers, and the ids of other inputs. Kept in its attributes
        and in the identity of a run that writes it.
    table
        The model's table of parameters, in the order of R's output.
    smooth_check
        Keep `z_smooth`.
    common_factor
        The names of `commonfactor_gwas`: estimate, se, q (variant) and q_df, instead of those by parameter and factor.
    twas
        Sources hold predicted expression: its variance is `hsq`, not 2 maf (1 - maf).

    Nothing is fitted yet: `ScanResult.dataset` and `ScanResult.to_store` do that.

    Raises InputError for sources and traits that cannot be used (see `effects.open_effects`).
    """
    effects, columns = open_effects(sumstats, model.traits, twas=twas)
    # Groups follow the chunks of a store, so that each is read once and columns can be copied.
    rows = column_layout(effects.n_variants).chunks[0] if effects.store is None else effects.store.rows_per_chunk
    outputs = _outputs(model, smooth_check=smooth_check, common_factor=common_factor)
    scan = Scan(model, effects, outputs, rows)
    attrs = {
        "kind": "gwas",
        "command": command,
        "arguments": RunKey(command, arguments).as_dict()["arguments"],  # arrays by their hash
        "inputs": [*inputs, *(reader.reader_id for reader in effects.readers)],
        "n_parameters": model.n_parameters,
        "traits": list(model.traits),
    }
    if "model" in arguments:
        attrs["model"] = arguments["model"]
    return ScanResult(scan, columns, _labels(model, table, common_factor=common_factor), attrs)


def _outputs(model: PerSnpModel, *, smooth_check: bool, common_factor: bool) -> dict[str, Output]:
    variant = ("variant",)
    if common_factor:
        outputs = {
            "estimate": Output("estimate", variant, row=0),
            "se": Output("se", variant, row=0),
            "q": Output("q_snp", variant, row=0),
        }
    else:
        by_parameter = ("parameter", "variant")
        outputs = {"estimate": Output("estimate", by_parameter), "se": Output("se", by_parameter)}
        outputs |= {"chisq": Output("chisq", variant), "aic": Output("aic", variant)}
        if model.factors:
            outputs["q_snp"] = Output("q_snp", ("factor", "variant"))
    if smooth_check:
        outputs["z_smooth"] = Output("z_smooth", variant)
    return outputs | {"status": Output("status", variant, "int16")}


def _labels(
    model: PerSnpModel, rows: Sequence[ParameterRow], *, common_factor: bool
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Small arrays: names of parameters and factors, degrees of freedom, what is the same at every SNP."""

    def text(values: Sequence[str]) -> np.ndarray:
        return np.array(list(values), dtype=_TEXT)

    if common_factor:
        return {"parameter": ((), np.array(model.parameters[0], dtype=_TEXT)), **_scalar("q_df", model.q_snp_df[0])}
    labels = {"parameter": (("parameter",), text(model.parameters)), **_scalar("chisq_df", model.chisq_df)}
    if model.factors:
        labels["factor"] = (("factor",), text(model.factors))
        labels["q_snp_df"] = (("factor",), np.array(model.q_snp_df, np.int32))
    if model.fixed:
        labels["fixed_parameter"] = (("fixed_parameter",), text(list(model.fixed)))
        labels["fixed_estimate"] = (("fixed_parameter",), np.array(list(model.fixed.values()), np.float64))
    place = {row.label: (number, row) for number, row in enumerate(rows)}
    for dim, names in (("parameter", model.parameters), ("fixed_parameter", tuple(model.fixed))):
        if names and all(name in place for name in names):
            found = [place[name] for name in names]
            labels[f"{dim}_row"] = ((dim,), np.array([number for number, _ in found], np.int32))
            labels[f"{dim}_name"] = ((dim,), text([row.name for _, row in found]))
            if dim == "parameter":
                labels["parameter_free"] = ((dim,), np.array([row.free for _, row in found], np.int32))
    return labels


def _scalar(name: str, value: int) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    return {name: ((), np.array(value, np.int32))}


@dataclass(frozen=True, eq=False)
class ScanResult:
    """One fit per SNP that is still to be made: as a lazy Dataset, or straight to a store.

    scan: the pass; columns: of the variants; labels: small arrays, (dimensions, values); attrs: of the result.
    """

    scan: Scan
    columns: VariantColumns
    labels: Mapping[str, tuple[tuple[str, ...], np.ndarray]]
    attrs: Mapping[str, Any]

    def dataset(self) -> xr.Dataset:
        """The result, lazy.

        estimate, se (parameter, variant), chisq, aic (variant), chisq_df, q_snp (factor, variant), q_snp_df (factor),
        z_smooth, status (variant), fixed_estimate (fixed_parameter), and the columns of the variants. Arrays that are
        computed together share the fits; `.dg.to_store` writes the whole without holding it.
        """
        import xarray as xr

        outputs = self.scan.outputs
        variables: dict[str, Any] = {name: (outputs[name].dims, array) for name, array in self.scan.lazy().items()}
        variables["status"] = (*variables["status"], dict(STATUS_ATTRS))
        variables |= self.labels
        return attach_run(xr.Dataset(variables | self.columns.lazy(), attrs=self.attrs), self)

    # What `array_plans` needs of a Dataset.
    @cached_property
    def variables(self) -> dict[str, Shape]:
        """The arrays of the result by name, as they would be in the Dataset."""
        n = self.scan.effects.n_variants
        arrays = {
            name: Shape(out.dims, self.scan.shape(name, n), np.dtype(out.dtype))
            for name, out in self.scan.outputs.items()
        }
        arrays["status"] = replace(arrays["status"], attrs=STATUS_ATTRS)
        small = {**self.labels, **self.columns.small}
        of_small = {name: Shape(dims, values.shape, values.dtype) for name, (dims, values) in small.items()}
        return {**arrays, **of_small, **self.columns.shapes}

    @property
    def sizes(self) -> dict[str, int]:
        """Length of the dimension of the variants."""
        return {"variant": self.scan.effects.n_variants}

    def write(self, path: StoreLike, *, force: bool = False, resume: bool = False) -> str:
        """The fits of every SNP, as a store; returns its place."""
        small = {name: values for name, (_, values) in {**self.labels, **self.columns.small}.items()}
        return self._write(path, self, small, self.attrs, force=force, resume=resume)

    def to_store(self, dataset: xr.Dataset, path: StoreLike, *, force: bool, resume: bool) -> str:
        """The same for the lazy result, whose attributes somebody may have changed; see `daskgen.gwas.layout.Run`."""
        return self._write(path, dataset, small_arrays(dataset), dataset.attrs, force=force, resume=resume)

    def _write(
        self,
        path: StoreLike,
        layout: Described,
        small: Mapping[str, np.ndarray],
        attrs: Mapping[str, Any],
        *,
        force: bool,
        resume: bool,
    ) -> str:
        scan = self.scan
        plans = {plan.name: plan for plan in array_plans(layout, scan.rows)}
        columns = [name for name, plan in plans.items() if "variant" in plan.dims and name not in scan.outputs]
        copied = self._copied(columns, plans)
        if copied is None:
            arrays: list[Any] = list(plans.values())
        else:
            columns = copied.names
            arrays = [*(plan for name, plan in plans.items() if name not in columns), *copied.arrays]
        plan = plan_scan(
            scan,
            decoded_columns=copied is None,
            bytes_per_row=sum(_row_bytes(one) for one in plans.values() if "variant" in one.dims),
            files=sum(n_objects(one.shape, ChunkLayout(one.chunks, one.shards)) for one in plans.values()),
            memory_limit=limits.memory_limit(),
        )
        plan.check()
        for line in plan.lines():
            log.info("%s", line)
        with StoreWriter(
            path,
            kind="gwas",
            arrays=arrays,
            run=RunKey(attrs["command"], attrs["arguments"], attrs["inputs"]),
            provenance={
                "sources": [{"name": reader.name, "store_id": reader.reader_id} for reader in scan.effects.readers],
                "arguments": dict(attrs["arguments"]),
                "effect_allele": "the second of variant_allele",
            },
            attrs=store_attributes(attrs),
            force=force,
            resume=resume,
        ) as writer:
            if not writer.already_complete:
                writer.write("labels", **small)
                results = writer.stage("results", arrays=list(scan.outputs), blocks={"variant": scan.rows})
                others = writer.stage("variants", arrays=columns, blocks={"variant": scan.rows})
                copy = None if copied is None else copied.to(others.target)
                pending = sorted({*results.pending, *others.pending})
                write_groups(scan, pending, results.target, others.target, copy)
            return writer.finish().url

    def _copied(self, columns: Sequence[str], plans: Mapping[str, ArrayPlan]) -> CopiedColumns | None:
        """The columns as chunks of the source, where all of its rows are used, in the same groups."""
        store = self.scan.effects.store
        if store is None:
            return None
        return CopiedColumns.of(store.url, {name: plans[name].dims for name in columns}, rows=self.scan.rows)


def _row_bytes(plan: ArrayPlan) -> float:
    """Bytes of a variant in an array, text guessed at ten."""
    width = 10 if plan.dtype == "string" else np.dtype(plan.dtype).itemsize
    return float(width * np.prod([n for n, dim in zip(plan.shape, plan.dims, strict=True) if dim != "variant"]))
