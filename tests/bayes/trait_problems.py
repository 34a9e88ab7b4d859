"""Problems for the sampling kernel of several traits, built straight from small genotypes."""

from __future__ import annotations

import numpy as np

from daskgen.bayes.blocks import Blocks, make_markers
from daskgen.bayes.loading import pack_array
from daskgen.bayes.matrix import MarkerMatrix
from daskgen.bayes.planes import from_planes, to_planes
from daskgen.bayes.records import make_design
from daskgen.bayes.trait_priors import TraitPrior
from daskgen.bayes.trait_sampler import TraitChains, TraitProblem, make_trait_records
from daskgen.inputs.covariates import Covariates
from daskgen.kernels.multi_trait_types import GivenTraitDraws
from tests.bayes.problems import centred


def small_traits(seed=0, n=57, p=19, traits=2, missing=0.0, missing_traits=0.0):
    """Codes int8 (n, p) and phenotypes (n, T) with some shared effects; NaN where a trait is missing."""
    rng = np.random.default_rng(seed)
    codes = rng.binomial(2, rng.uniform(0.2, 0.5, p), (n, p)).astype(np.int8)
    codes[0], codes[1] = 0, 2
    effects = np.where(rng.random((p, 1)) < 0.4, rng.standard_normal((p, traits)), 0)
    y = codes @ effects + rng.standard_normal((n, traits)) * 2 + np.arange(traits)
    codes[rng.random((n, p)) < missing] = 3
    y[rng.random((n, traits)) < missing_traits] = np.nan
    return codes, y


class TraitCase:
    """Chains on given codes; every array of the kernel is at hand."""

    def __init__(
        self, codes, y, *, starts=(0,), repeats=None, w=None, g=None, r=None, states=None, pi=None, joint=False,
        intercept=True, estimate=False, df=4.0, chains=1, draws=0, independent=False, constraint=False, seed=1,
    ):  # fmt: skip
        n, p = codes.shape
        traits = y.shape[1]
        self.n, self.p, self.traits = n, p, traits
        self.x, mean = centred(codes)
        matrix = MarkerMatrix(pack_array(codes), np.zeros((0, 0), np.uint16), mean, np.zeros(p), n)
        start = np.append(np.asarray(starts), p).astype(np.int64)
        repeats = np.ones(len(start) - 1) if repeats is None else repeats
        blocks = Blocks(start, np.zeros(len(start) - 1, np.int64), np.asarray(repeats, np.int64))
        used = ~np.isnan(y).all(axis=1)
        design = make_design(Covariates.none(n), [], used, intercept=intercept)
        records = make_trait_records(y.T, used, w, design, used)
        states = np.arange(1 << traits) if states is None else np.asarray(states)
        pi = np.full(len(states), 1 / len(states)) if pi is None else np.asarray(pi, float)
        g = np.eye(traits) * 0.2 if g is None else np.asarray(g, float)
        r = np.eye(traits) if r is None else np.asarray(r, float)
        prior = TraitPrior("BayesC", states, pi, g, df + traits, g * (df - 1), estimate, estimate, joint)
        self.problem = TraitProblem(
            make_markers(matrix, blocks, records.w, 1, np.dtype(np.float64)), records, design, [prior], ["markers"],
            np.array([0, p]), blocks, n, [f"t{k}" for k in range(traits)], r, df, [], estimate, constraint, independent,
        )  # fmt: skip
        self.chains = TraitChains.start(self.problem, chains, draws, seed)
        self.burn_in = 10**9

    def run(self, iterations, *, burn_in=10**9, thin=1, threads=1, given=None):
        """Iterations; `given`: (uniform, normal), (repeats, p, T) each."""
        if given is not None:
            draws = GivenTraitDraws(*(np.ascontiguousarray(part[None]) for part in given))
            self.chains.__class__ = _with_draws(draws)
        return self.chains.advance(iterations, burn_in, thin, threads, keep_effects=False)

    @property
    def effect(self):
        return self.chains.state.effect[0]

    @property
    def residual(self):
        return from_planes(self.chains.state.residual[0], self.n).T

    def set_start(self, residual, beta, delta):
        """State of the first chain: residual (n, T), beta and delta (p, T)."""
        state = self.chains.state
        state.residual[0] = to_planes(residual.T)
        state.slab[0] = beta
        state.effect[0] = beta * delta
        state.group[0] = (delta.astype(int) * (1 << np.arange(self.traits))).sum(axis=1)


def _with_draws(draws):
    class Given(TraitChains):
        _no_draws = draws

    return Given
