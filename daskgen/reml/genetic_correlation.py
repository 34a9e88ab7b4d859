"""`rg`: genetic correlations of measured phenotypes by Haseman-Elston regression of their cross products."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from daskgen.errors import InputError, UsageError
from daskgen.genotypes.selection import Selection
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.sample_table import SampleIds, Table, read_labels
from daskgen.reml.block_jackknife import LEAST_BLOCKS, sample_blocks
from daskgen.reml.components import ComponentSpec
from daskgen.reml.correlation_tables import Trait, correlation_rows, covariance_structure
from daskgen.reml.correlation_work import CrossGroups
from daskgen.reml.cross_moments import PairEstimate, solve_pair
from daskgen.reml.fitting import opened_groups
from daskgen.reml.relationships import Relationships
from daskgen.reml.study import TABLES, GenotypeSets, Study, open_study

__all__ = ["rg"]

log = logging.getLogger("daskgen.reml")

METHODS = ("auto", "exact", "stochastic")

BLOCKS, LEAST_PER_BLOCK = 64, 4
"""Blocks of samples where there are enough samples; least samples of a block."""

_RATE = 1e11  # multiplications and additions a second
UNIMPORTANT = 5.0
"""Seconds below which the exact way is taken."""


@known_arguments(*TABLES, *Selection.__dataclass_fields__)
def rg(
    genotypes: GenotypeSets,
    phenotypes: Table,
    covariates: Table | None = None,
    *,
    components: ComponentSpec = None,
    scale: str = "empirical",
    alpha: float = -1.0,
    method: str = "auto",
    n_probes: int | str = "auto",
    n_blocks: int | str = "auto",
    families: Table | None = None,
    dosage: str | bool = "auto",
    memory_limit: int | str | None = None,
    cache: bool = True,
    seed: int = 0,
    **more: Any,
) -> pd.DataFrame:
    """Genetic correlations of every two phenotypes, by Haseman-Elston regression with errors from a block jackknife.

    Each phenotype has its own samples, allele frequencies and fixed effects; two of them may have all samples in
    common, some, or none. Nothing is iterated: a few passes over the genotypes for phenotypes of the same samples.

    Parameters
    ----------
    genotypes, phenotypes, covariates, components, scale, alpha, dosage, memory_limit, cache
        As in `fit`; so are pheno_name, covar_name, covar_categorical, covar_numeric, missing_value, id_style and the
        selection of samples and variants. Two or more phenotypes.
    method
        Traces of products of relationship matrices: "exact", from every sample's row; "stochastic", from random probes;
        "auto": exact where it takes less than five seconds. In a correlation the error of the second way nearly cancels
        (monte_carlo_se).
    n_probes
        Random probes, each of which is one vector per block of samples. "auto": as many as make 64 vectors.
    n_blocks
        Blocks of samples of the jackknife. "auto": 64, or one for every four samples.
    families
        Label of each sample's family (table as phenotypes, one column): a family is never divided between blocks.
        Without it a block is a run of neighbours in the order of the store; needed where large families are not
        neighbours.
    seed
        Of the probes.

    Returns
    -------
    pandas.DataFrame
        A row per pair: trait_1, trait_2, rg, se, p (two-sided, of rg = 0), monte_carlo_se, cov_g, cov_g_se, cov_e,
        cov_e_se (covariances in the units of the phenotypes), h2_1, h2_1_se, h2_2, h2_2_se, n_1, n_2, n_both. With
        several components also `component`, and rows for each and for "total", which has cov_e. rg is NaN where a
        genetic variance is not positive, cov_e where no sample has both phenotypes.
        ``.attrs`` has lists: "traits"; "S", "V", genetic covariances of the phenotypes scaled to variance 1 and the
        sampling covariance of their column-wise lower triangle, as `dg.ldsc.covstruct` takes them; "n" of the traits.

    Raises
    ------
    UsageError, InputError
        Fewer than two phenotypes, options that are not understood, tables that cannot be used (see `fit`), too few
        samples or families for the jackknife.
    PlanError
        More memory than the limit.
    """
    _check_options(method, n_probes, n_blocks)
    model: dict[str, Any] = {"components": components, "dosage": dosage, "scale": scale, "alpha": alpha}
    study = open_study(genotypes, phenotypes, covariates, memory_limit=memory_limit, cache=cache, **model, **more)
    if len(study.samples.phenotypes) < 2:
        raise UsageError("a genetic correlation needs two phenotypes.", found=", ".join(study.samples.phenotypes))
    everyone = np.unique(np.concatenate([group.rows for group in study.groups]))
    labels = None
    if families is not None:
        known = SampleIds(study.samples.ids, study.genotypes[0].name, str(more.get("id_style", "iid")))
        labels = read_labels(families, known, "families")[everyone]
    blocks = _blocks(len(everyone), n_blocks, labels)
    opened = opened_groups(study)
    way = _chosen(method, len(everyone), opened)
    work = CrossGroups(study.groups, opened, everyone, blocks)
    log.info(
        "Plan       %s traces, %d group%s of samples, jackknife over %d blocks of samples",
        way,
        len(study.groups),
        "s" * (len(study.groups) > 1),
        work.n_blocks,
    )
    quadratic = work.quadratic()
    probes = None if n_probes == "auto" else int(n_probes)
    moments = work.exact_moments() if way == "exact" else work.sampled_moments(quadratic.traces, probes, seed)
    group_of = np.repeat(np.arange(len(study.groups)), [len(group.phenotypes) for group in study.groups])
    estimates = {
        (s, t): solve_pair(moments[group_of[s], group_of[t]], quadratic.pair(s, t), work.used)
        for s in range(len(group_of))
        for t in range(s, len(group_of))
    }
    return _table(study, opened, work, estimates, group_of)


def _check_options(method: str, n_probes: int | str, n_blocks: int | str) -> None:
    if method not in METHODS:
        raise UsageError(f"method = {method!r} is not understood.", expected=", ".join(METHODS))
    for name, value, least in (("n_probes", n_probes, 1), ("n_blocks", n_blocks, LEAST_BLOCKS)):
        if value != "auto" and (not isinstance(value, (int, np.integer)) or value < least):
            raise UsageError(f"{name} = {value!r} is not understood.", expected=f'"auto" or a number from {least}')


def _blocks(n: int, n_blocks: int | str, families: np.ndarray | None) -> np.ndarray:
    """The block of each of n samples. InputError where there are too few samples or families."""
    wanted = min(BLOCKS, n // LEAST_PER_BLOCK) if n_blocks == "auto" else int(n_blocks)
    found = sample_blocks(n, max(wanted, 1), families)
    if LEAST_PER_BLOCK * wanted > n or found.max() + 1 < LEAST_BLOCKS:
        raise InputError(
            "there are too few samples or families for the jackknife.",
            found=f"{n:,} samples" + ("" if families is None else f", {len(set(families.tolist())):,} families"),
            expected=f"{max(wanted, LEAST_BLOCKS)} blocks, of {LEAST_PER_BLOCK} samples or more",
        )
    return found


def _chosen(method: str, n: int, opened: Sequence[Relationships]) -> str:
    seconds = 4.0 * n * len(opened) * sum(r.n_samples * r.n_variants for r in opened) / _RATE
    return ("exact" if seconds <= UNIMPORTANT else "stochastic") if method == "auto" else method


def _table(
    study: Study,
    opened: Sequence[Relationships],
    work: CrossGroups,
    estimates: dict[tuple[int, int], PairEstimate],
    group_of: np.ndarray,
) -> pd.DataFrame:
    traits = []
    for t, (name, p) in enumerate(zip(_names(study), group_of.tolist(), strict=True)):
        shares = np.append(opened[p].diagonals.mean(axis=1), 1.0)
        traits.append(Trait(name, study.groups[p].n, shares, estimates[t, t]))
    given = list(study.samples.phenotypes)
    place = {trait.name: t for t, trait in enumerate(traits)}
    order = [place[name] for name in given]
    crosses = {}
    rows: list[dict[str, object]] = []
    for i, s in enumerate(order):
        for j, t in enumerate(order[i + 1 :], i + 1):
            # Estimates are of phenotypes in the order of the groups; turned round they are the same pair.
            crosses[i, j] = estimates[min(s, t), max(s, t)]
            overlap = len(np.intersect1d(work.at[group_of[s]], work.at[group_of[t]]))
            rows += correlation_rows(traits[s], traits[t], crosses[i, j], overlap, opened[0].names)
    table = pd.DataFrame(rows)
    undefined = [trait.name for trait in traits if not np.nansum(trait.own.theta[:-1]) > 0]
    if undefined:
        log.warning("%s: the genetic variance is not positive, so correlations are undefined", ", ".join(undefined))
    s_matrix, v_matrix = covariance_structure([traits[t] for t in order], crosses)
    table.attrs |= {
        "traits": given,
        "n": [traits[t].n for t in order],
        "S": s_matrix.tolist(),
        "V": v_matrix.tolist(),
    }
    return table


def _names(study: Study) -> list[str]:
    """Phenotypes in the order of the groups."""
    return [name for group in study.groups for name in group.phenotypes]
