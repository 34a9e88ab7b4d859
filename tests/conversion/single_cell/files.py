"""Files of counts in every format, written from one small matrix."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

GENES = ["MS4A1", "CD3E", "MT-CO1", "CD3E", "LYZ", "GNLY", "CD3E-1", "NKG7", "PF4", "CD8A", "ACTB"]


def small_counts(n_cells: int = 23, n_genes: int = len(GENES), seed: int = 5, largest: int = 9) -> sparse.csr_matrix:
    """Counts with an empty cell, an empty gene and a full row."""
    random = np.random.default_rng(seed)
    dense = random.integers(1, largest + 1, (n_cells, n_genes)) * (random.random((n_cells, n_genes)) < 0.4)
    dense[n_cells // 2] = 0
    dense[:, n_genes - 2] = 0
    dense[1] = largest
    return sparse.csr_matrix(dense.astype(np.float32))


def barcodes(n: int) -> list[str]:
    return [f"AACG{k:04d}-1" for k in range(n)]


def make_anndata(matrix: Any, **more: Any) -> anndata.AnnData:
    """With a table of each kind of column, an embedding and unstructured elements."""
    n, m = matrix.shape
    obs = pd.DataFrame(
        {
            "type": pd.Categorical(np.where(np.arange(n) % 3 == 0, "B", "T"), categories=["T", "B", "NK"]),
            "age": np.arange(n, dtype=np.int32),
            "score": np.linspace(0, 1, n),
            "good": np.arange(n) % 2 == 0,
            "plates": pd.array(np.arange(n), dtype="Int64"),
        },
        index=barcodes(n),
    )
    obs.loc[obs.index[:2], "plates"] = pd.NA
    var = pd.DataFrame(
        {"symbol": [f"s{k % (m - 1)}" for k in range(m)], "length": np.arange(m) + 100.0},
        index=[f"ENSG{k:05d}" for k in range(m)],
    )
    adata = anndata.AnnData(matrix, obs=obs, var=var, **more)
    adata.obsm["X_umap"] = np.random.default_rng(1).normal(size=(n, 2)).astype(np.float32)
    adata.varm["loadings"] = np.ones((m, 3))
    adata.obsp["near"] = sparse.csr_matrix(np.eye(n))
    adata.uns["study"] = {"name": "small", "year": 2024, "weights": np.arange(3.0), "deep": {"yes": True}}
    return adata


def write_10x_mtx(
    folder: Path, matrix: Any, *, version: int = 3, packed: bool = True, genes: list[str] = GENES
) -> Path:
    """matrix: cells x genes."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = sparse.coo_matrix(matrix)
    order = np.lexsort((-entries.col, entries.row))  # by barcode, as Cell Ranger has it, genes not in order
    lines = ["%%MatrixMarket matrix coordinate integer general", "%made for a test"]
    lines.append(f"{matrix.shape[1]} {matrix.shape[0]} {entries.nnz}")
    lines += [f"{entries.col[k] + 1} {entries.row[k] + 1} {int(entries.data[k])}" for k in order]
    ids = [f"ENSG{k:05d}" for k in range(len(genes))]
    more = "\tGene Expression" if version == 3 else ""
    tables = {
        "matrix.mtx": "\n".join(lines) + "\n",
        "barcodes.tsv": "".join(f"{name}\n" for name in barcodes(matrix.shape[0])),
        "features.tsv" if version == 3 else "genes.tsv": "".join(
            f"{i}\t{g}{more}\n" for i, g in zip(ids, genes, strict=True)
        ),
    }
    for name, text in tables.items():
        if packed:
            with gzip.open(folder / f"{name}.gz", "wt") as file:
                file.write(text)
        else:
            (folder / name).write_text(text)
    return folder


def write_10x_h5(path: Path, matrices: dict[str, Any], *, types: list[str] | None = None) -> Path:
    """matrices: of cells x genes; one called "matrix" is written as version 3, others as genomes of version 2."""
    with h5py.File(path, "w") as file:
        for name, matrix in matrices.items():
            csr = sparse.csr_matrix(matrix)
            n, m = csr.shape
            group = file.create_group(name)
            group["barcodes"] = np.array(barcodes(n), "S")
            group["data"], group["indices"], group["indptr"] = csr.data.astype(np.int32), csr.indices, csr.indptr
            group["shape"] = np.array([m, n], np.int32)
            ids, genes = np.array([f"ENSG{k:05d}" for k in range(m)], "S"), np.array(GENES[:m], "S")
            if name == "matrix":
                features = group.create_group("features")
                features["id"], features["name"] = ids, genes
                features["feature_type"] = np.array(types or ["Gene Expression"] * m, "S")
                features["genome"] = np.array(["GRCh38" if k % 2 else "mm10" for k in range(m)], "S")
            else:
                group["genes"], group["gene_names"] = ids, genes
    return path


def write_loom(path: Path, matrix: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("matrix", data=matrix.toarray().T, chunks=(4, 5), compression="gzip")
        file["row_attrs/Gene"] = np.array([f"G{k}" for k in range(matrix.shape[1])], "S")
        file["col_attrs/CellID"] = np.array(barcodes(matrix.shape[0]), "S")
        file["col_attrs/cluster"] = np.arange(matrix.shape[0])
        file.create_group("layers")
    return path
