"""Problems for the sampling kernel, built straight from small genotypes."""

from __future__ import annotations

import threading

import numpy as np

from daskgen.bayes.blocks import Blocks, make_markers
from daskgen.bayes.loading import pack_array
from daskgen.bayes.matrix import MarkerMatrix
from daskgen.bayes.planes import from_planes, to_planes
from daskgen.kernels import gibbs, gibbs_types
from daskgen.kernels.genotype_dots import n_tiles
from daskgen.kernels.teams import new_barrier


def small_cohort(seed=0, n=57, p=23, missing=0.0):
    """Codes int8 (n, p) with 3 for missing, all columns varying, and a phenotype with some effects."""
    rng = np.random.default_rng(seed)
    codes = rng.binomial(2, rng.uniform(0.2, 0.5, p), (n, p)).astype(np.int8)
    codes[0], codes[1] = 0, 2
    codes[rng.random((n, p)) < missing] = 3
    effects = np.where(rng.random(p) < 0.3, rng.standard_normal(p), 0)
    y = np.where(codes == 3, 1, codes) @ effects + rng.standard_normal(n) * 2 + 5
    return codes, y


def centred(codes):
    """Codes as the sampler sees them: float64 (n, p), centred by the called, missing at 0."""
    called = codes < 3
    mean = np.where(called, codes, 0).sum(axis=0) / called.sum(axis=0)
    return np.where(called, codes - mean, 0.0), mean


class Case:
    """One chain on given codes; every array of the kernel is at hand."""

    def __init__(
        self,
        codes,
        y,
        *,
        starts=(0,),
        repeats=None,
        w=None,
        gamma=(0.0, 1.0),
        pi=(0.5, 0.5),
        s2a=0.2,
        s2e=1.0,
        own=None,
        kind=None,
        log_pi_marker=None,
        intercept=True,
        estimate=False,
        df=4.0,
        scale_a=0.1,
        scale_e=0.4,
        chains=1,
        draws=0,
        independent=False,
        gram32=False,
    ):
        n, p = codes.shape
        self.n, self.p, self.independent = n, p, independent
        self.x, mean = centred(codes)
        w = np.ones(n) if w is None else w
        packed = pack_array(codes)
        width = packed.shape[1]
        start = np.append(np.asarray(starts), p).astype(np.int64)
        repeats = np.ones(len(start) - 1) if repeats is None else repeats
        self.blocks = Blocks(start, np.zeros(len(start) - 1, np.int64), np.asarray(repeats, np.int64))
        planes = to_planes(w)
        matrix = MarkerMatrix(packed, np.zeros((0, 0), np.uint16), mean, np.zeros(p), n)
        dtype = np.dtype(np.float32 if gram32 else np.float64)
        self.markers = make_markers(matrix, self.blocks, planes, 1, dtype)
        q = int(intercept)
        self.records = gibbs_types.Records(
            to_planes(y),
            planes,
            to_planes((w > 0).astype(float)),
            np.array([0, n] if q else [0], np.int64),
            np.arange(n * q, dtype=np.int64),
            np.ones(n * q),
            np.array([w.sum()] if q else []),
            np.full(q, -1, np.int64),
            np.zeros(q + 1, np.int64),
            np.zeros(0, np.int64),
            np.zeros(0),
            np.zeros(q + 1, np.int64),
            np.zeros(0, np.int64),
            np.zeros(0),
            np.zeros(q),
            np.zeros(1),
        )
        k = len(gamma)
        self.priors = gibbs_types.Priors(
            np.array([k]),
            np.array([gamma], float),
            np.array(
                [(gibbs_types.COMMON if own is None else gibbs_types.INVERSE_CHI_SQUARE) if kind is None else kind]
            ),
            np.array([df]),
            np.array([scale_a]),
            np.array([int(estimate)]),
            np.array([int(estimate)]),
            np.zeros((k, 0)) if log_pi_marker is None else np.ascontiguousarray(log_pi_marker),
            np.zeros(0),
            np.zeros(0),
            np.array([df, scale_e, float(estimate), float((w > 0).sum())]),
        )
        self.state = gibbs_types.State(
            np.repeat(to_planes(y)[None], chains, 0).copy(),
            np.zeros((chains, 4, width)),
            np.zeros((chains, p)),
            np.zeros((chains, p)),
            np.zeros((chains, p), np.int8),
            np.zeros((chains, 0)) if own is None else np.repeat(np.asarray(own, float)[None], chains, 0).copy(),
            np.full((chains, 1), s2a),
            np.repeat(np.array([[pi]], float), chains, 0).copy(),
            np.zeros((chains, q)),
            np.zeros((chains, 0)),
            np.full(chains, s2e),
        )
        columns = 5 + k
        self.sums = gibbs_types.Sums(
            *(np.zeros((chains, p)) for _ in range(3)),
            *(np.zeros((chains, 4, width)) for _ in range(2)),
            np.zeros((chains, draws, columns)),
            np.zeros((chains, draws, q)),
            np.zeros((chains, 0, p), np.float32),
        )
        self.keys = np.array([[7 + c, 11] for c in range(chains)], np.uint32)

    def run(self, iterations, *, first=1, burn_in=10**9, thin=1, team=1, given=None):
        """Iterations with a team of threads; `given`: random numbers by the fields of GivenDraws."""
        empty = {
            "location": np.zeros((0, 0)),
            **{name: np.zeros((0, 0, 0)) for name in ("uniform", "normal", "pi")},
            "chi_square": np.zeros((0, 0)),
        }
        draws = gibbs_types.GivenDraws(**(empty | {k: np.ascontiguousarray(v) for k, v in (given or {}).items()}))
        width = self.records.w.shape[1]
        longest = int(self.blocks.sizes.max())
        shared = new_barrier(), *gibbs.work_space(len(self.keys), self.p, width, longest)
        arguments = (
            *(self.markers, self.records, self.priors, self.state, self.sums, draws, self.keys),
            *(np.array([0, self.p]), self.n, first, iterations, burn_in, thin, int(self.independent)),
            *(np.array([0, n_tiles(width)]), 0, 0),
        )
        done = [0] * team

        def work(member):
            done[member] = gibbs.run(*arguments, member, team, *shared)

        threads = [threading.Thread(target=work, args=(member,)) for member in range(team)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return done[0]

    @property
    def effect(self):
        return self.state.effect[0]

    @property
    def residual(self):
        return from_planes(self.state.residual[0], self.n)
