"""Lines that say what an AnnData store holds."""

from __future__ import annotations

from daskgen.cli.describe import labelled, provenance_lines

__all__ = ["cells_info", "is_cells"]


def is_cells(path: str) -> bool:
    """Whether an AnnData store lies at `path`, whoever made it; False while it is being made."""
    from daskgen.stores.anndata_sight import is_anndata

    return is_anndata(path)


def cells_info(path: str) -> list[str]:
    """Shape, X, tables and steps; where it came from; size."""
    from daskgen.cells.describing import cells_lines
    from daskgen.limits import format_bytes
    from daskgen.stores.anndata import AnnDataStore

    store = AnnDataStore.open(path)
    location, attrs = store.location, store.group.attrs.asdict()
    maker = attrs.get("created_by", "not made by daskgen")
    lines = [f"{location.name}: cells (AnnData), Zarr format {store.zarr_format}, {maker}", *cells_lines(store)]
    if where := attrs.get("provenance", {}).get("counts_from"):
        lines.append(labelled("Counts", f"from {', '.join(dict.fromkeys(where))} of the source"))
    lines.extend(provenance_lines(store.group))
    lines.append(labelled("On disk", f"{format_bytes(location.size())} in {location.n_files():,} files"))
    if "store_id" in attrs:
        lines.append(labelled("Id", str(attrs["store_id"])))
    return lines
