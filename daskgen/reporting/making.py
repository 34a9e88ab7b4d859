"""`report`: one self-contained HTML file about a result, a store, or a folder of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from daskgen import __version__
from daskgen.errors import InputError, StoreError, UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.limits import format_bytes
from daskgen.opening import open_store
from daskgen.plotting.style import styled
from daskgen.reporting import data, models, scans, single_cells
from daskgen.reporting.page import Section, facts, page, paragraph, preformatted
from daskgen.stores import Location, StoreLike, open_group
from daskgen.stores.anndata_sight import is_anndata

__all__ = ["make_report"]

_SECTIONS: Mapping[str, Callable[[xr.Dataset], list[Section]]] = {
    "genotypes": data.genotypes,
    "sumstats": data.sumstats,
    "ld_scores": data.ld_scores,
    "pca": data.pca,
    "covstruct": models.covstruct,
    "sem_fit": models.sem_fit,
    "reml": models.reml,
    "posterior": models.posterior,
    "gwas": scans.gwas,
}
# What a result in memory has, by kind: it carries no name of its kind.
_MARKS = {
    "reml": {"variance_component", "phenotype"},
    "posterior": {"trace", "pip"},
    "sem_fit": {"implied_cov", "est"},
    "covstruct": {"S", "V"},
    "pca": {"scores", "variances"},
    "gwas": {"status", "se"},
    "genotypes": {"variant_allele_frequency", "sample_id"},
}


@known_arguments()
def make_report(
    result: Any,
    out: str | os.PathLike[str],
    *,
    title: str | None = None,
    force: bool = False,
) -> str:
    """Write one HTML file, with its tables and figures inside, about a result; returns its path.

    Parameters
    ----------
    result
        What a function of daskgen gave (`RemlFit`, `Posterior`, `Fit`, a Dataset), the path of a store, or a folder,
        of which every store is taken. Nothing is computed again; scans are read block by block.
    out
        Path of the file, .html.
    title
        Heading. Default: the name of the store, or what kind of result it is.
    force
        Replace a file that is there.

    The page needs no other file and no network. For a store it says where the store lies, what made it of what, with
    which arguments, and how many records were left out.

    Raises
    ------
    UsageError
        `out` is not an .html file in a folder that exists.
    StoreError
        `out` is there without `force`; `result` is a path without a complete store.
    InputError
        Something that there is no report of.
    MissingPackageError
        matplotlib is not installed.
    """
    path = _check(out, force)
    with styled():
        heading, subtitle, sections = _sections(result)
        text = page(title or heading, subtitle, sections, f"made by daskgen {__version__}")
    partial = f"{path}.{os.getpid()}.partial"
    try:
        Path(partial).write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
    return path


def _check(out: str | os.PathLike[str], force: bool) -> str:
    path = os.fspath(out)
    if not path.lower().endswith((".html", ".htm")):
        raise UsageError(f"{path}: a report is an HTML file.", expected="a name that ends in .html")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"{path}: its folder does not exist.", found=folder, do=f"mkdir -p {folder}")
    if os.path.lexists(path) and not force:
        raise StoreError(f"{path} exists.", do="choose another name, or --force (force=True) to replace it")
    return path


def _sections(result: Any) -> tuple[str, str, list[Section]]:
    if isinstance(result, (str, os.PathLike, Location)):
        return _of_path(result)
    dataset = _dataset(result)
    return _kind(dataset).replace("_", " "), "a result in memory", _SECTIONS[_kind(dataset)](dataset)


def _dataset(result: Any) -> xr.Dataset:
    """The arrays behind a result."""
    if isinstance(result, xr.Dataset):
        return result
    inner = getattr(result, "dataset", None)
    if isinstance(inner, xr.Dataset):
        return inner
    convert = getattr(result, "to_dataset", None)
    made = convert() if callable(convert) else None
    if isinstance(made, xr.Dataset):
        return made
    raise InputError(
        "there is no report of this.",
        found=type(result).__name__,
        expected="a result of daskgen, the path of a store, or a folder of stores",
    )


def _kind(dataset: xr.Dataset) -> str:
    kind = dataset.attrs.get("kind")
    if kind in _SECTIONS:
        return str(kind)
    for name, marks in _MARKS.items():
        if marks <= set(dataset.variables):
            return name
    raise InputError(
        "there is no report of this Dataset.",
        found=", ".join(map(str, dataset.variables)),
        expected=f"a result of one of these kinds: {', '.join(_SECTIONS)}",
    )


def _of_path(path: StoreLike | Location) -> tuple[str, str, list[Section]]:
    location = Location.of(path)
    folder = Path(os.fspath(path)) if location.local and isinstance(path, (str, os.PathLike)) else None
    if folder is not None and folder.is_dir() and not _is_store(folder):
        return _of_folder(folder)
    sections = _of_store(location)
    return location.name, f"{sections[0].title}, {location.url}", sections


def _is_store(folder: Path) -> bool:
    """Whether the folder is a Zarr group, of format 3 or 2."""
    return any((folder / name).exists() for name in ("zarr.json", ".zgroup"))


def _of_folder(folder: Path) -> tuple[str, str, list[Section]]:
    """A section for each store of a folder; what is not a complete store of daskgen is named at the end."""
    sections, others = [], []
    for path in sorted(folder.glob("*.zarr")):
        try:
            parts = _of_store(Location.of(path))
        except (StoreError, InputError) as error:
            others.append(f"{path.name}: {str(error).splitlines()[0]}")
            continue
        sections.append(Section(path.name, [], parts))
    if not sections:
        raise StoreError(
            f"{folder} holds no store that there is a report of.",
            found="; ".join(others) or "no *.zarr",
            do="give the path of a store, or of a folder with stores",
        )
    if others:
        sections.append(Section("Left out", [paragraph(text) for text in others]))
    return folder.resolve().name, f"{len(sections) - bool(others)} stores in {folder}", sections


def _of_store(location: Location) -> list[Section]:
    if is_anndata(location):
        return single_cells.cells(location)
    group = open_group(location)
    kind = str(group.attrs.get("kind"))
    if kind not in _SECTIONS:
        raise InputError(f"{location}: there is no report of a store of kind {kind}.", expected=", ".join(_SECTIONS))
    dataset = open_store(location.url)
    return [*_SECTIONS[kind](dataset), _origin(location)]


def _origin(location: Location) -> Section:
    """What made the store, of what, with which arguments."""
    attrs = open_group(location).attrs.asdict()
    provenance = attrs.get("provenance", {})
    run = provenance.get("run", provenance)
    sources = [
        f"{source.get('name')}" + (f", {format_bytes(source['size'])}" if "size" in source else "")
        for source in provenance.get("sources", [])
    ]
    dropped = [f"{count:,} {reason}" for reason, count in provenance.get("dropped", {}).items() if count]
    body = [
        facts(
            {
                "Store": location.url,
                "Made by": attrs.get("created_by"),
                "Command": run.get("command"),
                "Sources": "; ".join(sources) or None,
                "Left out": ", ".join(dropped) or None,
                "On disk": f"{format_bytes(location.size())} in {location.n_files():,} files",
                "Id": attrs.get("store_id"),
            }
        )
    ]
    arguments = {name: value for name, value in run.get("arguments", {}).items() if value is not None}
    if arguments:
        body.append(preformatted("\n".join(f"{name} = {json.dumps(value)[:300]}" for name, value in arguments.items())))
    return Section("Where it comes from", body)
