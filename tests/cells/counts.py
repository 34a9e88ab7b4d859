"""Small count matrices and stores of them."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import scipy.sparse


def counts(n_cells=300, n_genes=120, *, seed=0, density=0.25, dtype=np.uint16, empty_cells=1, silent_genes=3):
    """Negative binomial counts of three types of cells, dense; whole numbers unless dtype is a float with halves."""
    generator = np.random.default_rng(seed)
    profile = generator.gamma(0.3, 4.0, n_genes) * density
    types = generator.integers(0, 3, n_cells)
    boost = np.ones((3, n_genes))
    for kind in range(3):
        boost[kind, kind::9] = 6
    depth = generator.lognormal(0, 0.4, n_cells)
    x = generator.negative_binomial(1.5, 1.5 / (1.5 + depth[:, None] * boost[types] * profile))
    x = x.astype(np.float64)
    x[:empty_cells] = 0
    x[:, :silent_genes] = 0
    return x.astype(dtype)


def names(n_genes):
    """Gene names; every tenth is mitochondrial, in mixed capitals."""
    return np.array([f"{('MT-', 'mt-')[i % 2]}G{i}" if i % 10 == 9 else f"G{i}" for i in range(n_genes)], object)


def make_store(path, x, *, obs=None, var=None, layout="csr", chunk=None, zarr_format=3):
    """An AnnData store as anndata writes it; chunk: stored values of a chunk."""
    import anndata

    matrix = scipy.sparse.csr_matrix(x) if layout == "csr" else np.asarray(x)
    genes = pd.DataFrame(var or {}, index=names(x.shape[1]))
    cells = pd.DataFrame(obs or {}, index=[f"cell{i}" for i in range(x.shape[0])])
    before = anndata.settings.zarr_write_format
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        anndata.settings.zarr_write_format = zarr_format
        try:
            anndata.AnnData(matrix, cells, genes).write_zarr(str(path), **({} if chunk is None else {"chunks": chunk}))
        finally:
            anndata.settings.zarr_write_format = before
    return str(path)


def gene_sets(n_genes, seed=1, n_sets=6):
    """Set name -> gene names."""
    generator = np.random.default_rng(seed)
    all_names = names(n_genes)
    return {
        f"set{i}": list(all_names[generator.choice(n_genes, generator.integers(2, 20), replace=False)])
        for i in range(n_sets)
    }


def columns_of(sets, n_genes):
    """The same as lists of columns."""
    place = {name: i for i, name in enumerate(names(n_genes))}
    return [[place[gene] for gene in genes] for genes in sets.values()]
