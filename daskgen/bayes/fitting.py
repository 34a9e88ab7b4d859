"""From the arguments of `fit` to a posterior: data and priors checked, chains run, sums turned into a Dataset."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from daskgen import limits
from daskgen.bayes.blocks import Blocks, gram_matrices, make_blocks
from daskgen.bayes.loading import GenotypeSet, OpenedSet, load_sets
from daskgen.bayes.methods import marker_prior
from daskgen.bayes.planes import from_planes
from daskgen.bayes.posterior import Posterior
from daskgen.bayes.records import RandomTerm, make_design, make_records
from daskgen.bayes.sampler import Chains, Problem, trace_columns
from daskgen.errors import InputError, NotConvergedError, UsageError
from daskgen.inputs.covariates import Covariates, read_covariates, read_phenotypes
from daskgen.inputs.sample_table import SampleIds, as_names, numbers, read_sample_table
from daskgen.kernels.genotype_dots import find_gaps
from daskgen.kernels.genotype_layout import packed_width
from daskgen.kernels.gibbs import Markers
from daskgen.kernels.marker_values import marker_values
from daskgen.passes import MemoryItem, Plan
from daskgen.passes.checkpoint import Checkpoint
from daskgen.passes.progress import Progress
from daskgen.stores import RunKey

__all__ = ["Settings", "fit_trait", "read_inputs"]

log = logging.getLogger("daskgen.bayes")

_LIBRARIES = 330_000_000
_SEGMENT_GENOTYPES = 2e10  # genotypes swept between two looks at signals and checkpoints, some seconds
_GROWTH = 100.0  # times the phenotypic variance: a residual variance above that has diverged
_LARGE_EFFECT_DRAWS = 200_000_000  # entries of kept effects, 12 bytes each


@dataclass(frozen=True)
class Settings:
    """The arguments of `fit` that say how chains are run and what the priors are; `fit` describes them."""

    method: str
    pi: Any
    estimate_pi: bool
    chain_length: int
    burn_in: int
    thin: int
    chains: int
    blocks: Any
    schedule: str
    gamma: Any
    marker_variance: float | None
    residual_variance: float | None
    genetic_variance: float | None
    estimate_marker_variance: bool
    estimate_residual_variance: bool
    df: float
    residual_df: float
    center: bool
    maf_min: float
    keep_effects: bool | None
    seed: int
    memory_limit: Any

    def check(self) -> None:
        """UsageError for lengths and names that cannot be."""
        for name, value, least in (
            ("chain_length", self.chain_length, 1),
            ("burn_in", self.burn_in, 0),
            ("thin", self.thin, 1),
            ("chains", self.chains, 1),
        ):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
                raise UsageError(f"{name} must be a whole number of at least {least}.", found=repr(value))
        if self.burn_in >= self.chain_length:
            raise UsageError(
                "the chain is not longer than its burn-in, so nothing would be saved.",
                found=f"chain_length {self.chain_length:,}, burn_in {self.burn_in:,}",
            )
        if self.schedule not in ("exact", "jwas", "independent"):
            raise UsageError(f"there is no schedule {self.schedule!r}.", expected="exact, jwas, independent")
        if not 0 <= self.maf_min < 0.5:
            raise UsageError("maf_min is out of range.", found=self.maf_min, expected="0 to 0.5")


def iterations_of(settings: Settings, blocks: Blocks) -> int:
    """Outer iterations: the chain's length, divided by the size of a block for the schedule of JWAS with equal blocks.

    Raises UsageError where the burn-in would leave nothing, with the arithmetic.
    """
    explicit = not isinstance(settings.blocks, (str, int, np.integer, type(None)))
    if settings.schedule != "jwas" or explicit:
        return settings.chain_length
    if len(blocks.owner) < 2:
        raise UsageError("the schedule jwas needs at least two blocks.", do="choose smaller blocks")
    size = int(blocks.sizes.max())
    outer = settings.chain_length // size
    if outer <= settings.burn_in:
        raise UsageError(
            "with the schedule jwas this burn-in would save nothing.",
            found=f"{settings.chain_length:,} iterations in blocks of {size} are {outer:,} outer iterations, "
            f"the burn-in is {settings.burn_in:,} outer iterations",
            do=f"burn_in below {outer:,}, or schedule='exact'",
        )
    return outer


def fit_trait(
    name: str,
    phenotype: np.ndarray,
    sets: Sequence[OpenedSet],
    covariates: Covariates,
    random: Mapping[str, np.ndarray],
    precisions: Mapping[str, Any],
    weights: np.ndarray | None,
    settings: Settings,
    checkpoint: Any,
) -> Posterior:
    """The posterior of one trait. phenotype: float64 (samples,), NaN where missing; see `daskgen.bayes.fit`."""
    used = ~np.isnan(phenotype) & covariates.complete
    for levels in random.values():
        used &= np.array([level is not None for level in levels], bool)
    if weights is not None:
        used &= ~np.isnan(weights)
    _check_phenotype(name, phenotype, used)
    training = np.where(used, phenotype, np.nan)
    loaded = load_sets(list(sets), used, center=settings.center, maf_min=settings.maf_min)
    variance = float(np.var(training[used], ddof=1))
    share = 0.5 * variance / (1 + len(random))  # what is not genetic, over the random terms and the residual
    terms = [_random_term(term, levels, used, precisions.get(term), share) for term, levels in random.items()]
    design = make_design(covariates.columns(np.arange(len(used))), terms, used, intercept=True)
    genetic = settings.genetic_variance or 0.5 * variance
    residual = settings.residual_variance or share
    set_start = np.concatenate([[0], np.cumsum([len(one.packed) for one in loaded])]).astype(np.int64)
    priors = [
        marker_prior(
            settings.method,
            genetic_variance=genetic / len(loaded),
            heterozygosity=2 * one.frequency * (1 - one.frequency),
            pi=settings.pi,
            gamma=settings.gamma,
            estimate_pi=settings.estimate_pi,
            estimate_variance=settings.estimate_marker_variance,
            marker_variance=settings.marker_variance,
            df=settings.df,
        )
        for one in loaded
    ]
    blocks = make_blocks(settings.blocks, set_start, int(used.sum()), settings.schedule)
    iterations = iterations_of(settings, blocks)
    draws = (iterations - settings.burn_in) // settings.thin
    if draws < 1:
        raise UsageError(
            "no draw would be saved.", found=f"{iterations - settings.burn_in} iterations, thin {settings.thin}"
        )
    keep_effects = _keeps_effects(settings, priors, set_start, draws)
    records = make_records(training, weights, design)
    threads = limits.cores()
    plan = _plan(name, loaded, blocks, settings, draws, len(phenotype), int(set_start[-1]), threads)
    _announce(name, used, loaded, priors, blocks, iterations, settings, plan)
    plan.check()
    packed = loaded[0].packed if len(loaded) == 1 else np.concatenate([one.packed for one in loaded])
    shift, missing = (np.concatenate([getattr(one, part) for one in loaded]) for part in ("shift", "missing"))
    gram, diagonal = gram_matrices(packed, blocks, shift, missing, records.w, threads)
    markers = Markers(
        packed,
        shift,
        missing,
        *find_gaps(packed, len(phenotype)),
        diagonal,
        blocks.start,
        blocks.owner,
        blocks.repeats,
        gram,
        blocks.offset,
    )
    problem = Problem(
        markers,
        records,
        design,
        priors,
        [one.opened.name for one in loaded],
        set_start,
        blocks,
        len(phenotype),
        residual,
        settings.residual_df,
        settings.estimate_residual_variance,
        settings.schedule == "independent",
    )
    if problem.independent:
        log.warning("independent blocks are an approximation; %s", _leakage(problem))
    run = RunKey(
        "bayes",
        {
            "trait": name,
            "data": _digest(training, weights, design, shift),
            **{key: value for key, value in vars(settings).items() if key not in ("memory_limit",)},
        },
        [{"genotypes": one.opened.input_id} for one in loaded],
    )
    chains = Chains.start(problem, settings.chains, draws, settings.seed)
    state = Checkpoint(checkpoint, run)
    kept = state.load()
    if kept is not None:
        chains.restore(kept)
        log.info("going on from iteration %s of %s", f"{chains.iteration:,}", f"{iterations:,}")
    _run(chains, iterations, settings, threads, keep_effects, state, variance)
    posterior = _posterior(name, chains, loaded, used, settings, run)
    state.remove()
    return posterior


def _run(
    chains: Chains,
    iterations: int,
    settings: Settings,
    threads: int,
    keep_effects: bool,
    checkpoint: Checkpoint,
    variance: float,
) -> None:
    """All iterations, in pieces between which signals are seen and checkpoints written."""
    problem = chains.problem
    sweep = float(problem.n_samples) * problem.n_markers * chains.n_chains
    piece = int(max(1, min(_SEGMENT_GENOTYPES // max(sweep, 1.0), 1_000)))
    with Progress("iterations", iterations, sweep / 4) as progress:
        progress.advance(chains.iteration)
        try:
            while chains.iteration < iterations:
                # A piece ends where the burn-in does, so that pieces do not depend on where a run was resumed.
                step = min(piece - chains.iteration % piece, iterations - chains.iteration)
                finite = chains.advance(step, settings.burn_in, settings.thin, threads, keep_effects=keep_effects)
                largest = float(np.max(chains.state.residual_variance))
                if not finite or largest > _GROWTH * variance:
                    raise _diverged(problem, chains, largest, variance)
                progress.advance(step)
                checkpoint.save(chains.as_arrays())
        except KeyboardInterrupt:
            checkpoint.save(chains.as_arrays(), force=True)
            raise


def _diverged(problem: Problem, chains: Chains, largest: float, variance: float) -> NotConvergedError:
    found = f"residual variance {largest:.3g} at iteration {chains.iteration:,}, phenotypic variance {variance:.3g}"
    if problem.independent:
        return NotConvergedError(
            "the chains diverged: independent blocks are not stable on these genotypes.",
            found=found,
            do='schedule="exact", which is exact and as fast a pass',
        )
    return NotConvergedError("the chains diverged.", found=found, do="look for extreme phenotypes, or stronger priors")


# -- checks and facts ----------------------------------------------------------------------------------------
def _check_phenotype(name: str, phenotype: np.ndarray, used: np.ndarray) -> None:
    if used.sum() < 2:
        raise InputError(
            f"{name}: too few samples have a phenotype, all covariates and genotypes.",
            found=f"{int(used.sum())} of {len(phenotype):,} ({int((~np.isnan(phenotype)).sum()):,} have a phenotype)",
            expected="2 or more",
        )
    if np.ptp(phenotype[used]) == 0:
        raise InputError(f"{name} is constant in the analysed samples.", found=f"{phenotype[used][0]:g}")


def _random_term(name: str, levels: np.ndarray, used: np.ndarray, precision: Any, variance: float) -> RandomTerm:
    """Independent levels, or those of a user's precision matrix, a pair (matrix, names of its rows)."""
    if precision is None:
        labels = sorted({str(level) for level in levels[used]})
        pointer = np.arange(len(labels) + 1)
        column, value = np.arange(len(labels)), np.ones(len(labels))
    else:
        matrix, names = precision
        labels = [str(label) for label in names]
        if matrix.shape != (len(labels), len(labels)):
            raise InputError(
                f"{name}: the precision matrix and its names differ.", found=f"{matrix.shape}, {len(labels)} names"
            )
        if abs(matrix - matrix.T).max() > 1e-8 * abs(matrix).max() or (matrix.diagonal() <= 0).any():
            raise InputError(f"{name}: a precision matrix must be symmetric with a positive diagonal.")
        pointer, column, value = _compressed_rows(matrix)
        unknown = sorted({str(level) for level in levels[used]} - set(labels))
        if unknown:
            raise InputError(f"{name}: levels that are not in the precision matrix.", found=", ".join(unknown[:3]))
    place = {label: i for i, label in enumerate(labels)}
    level = np.array([place.get(str(value), -1) for value in levels], np.int64)
    return RandomTerm(
        name,
        level,
        labels,
        np.asarray(pointer, np.int64),
        np.asarray(column, np.int64),
        np.asarray(value, np.float64),
        variance,
    )


def _compressed_rows(matrix: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pointer, column, value) of a dense or SciPy sparse matrix."""
    if hasattr(matrix, "tocsr"):
        rows = matrix.tocsr()
        return rows.indptr, rows.indices, rows.data
    dense = np.asarray(matrix, np.float64)
    row, column = np.nonzero(dense)
    return np.searchsorted(row, np.arange(len(dense) + 1)), column, dense[row, column]


def _keeps_effects(settings: Settings, priors: Sequence[Any], set_start: np.ndarray, draws: int) -> bool:
    """Whether the effects of every draw are kept: as asked, or where their expected number is moderate."""
    if settings.keep_effects is not None:
        return settings.keep_effects
    share = sum(
        float(b - a) * (1.0 - (float(prior.pi[0]) if len(prior.gamma) > 1 else 0.0))
        for prior, a, b in zip(priors, set_start[:-1], set_start[1:], strict=True)
    )
    return share * draws * settings.chains <= _LARGE_EFFECT_DRAWS / 10


def _digest(training: np.ndarray, weights: np.ndarray | None, design: Any, shift: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in (training, weights, design.pointer, design.sample, design.value, design.precision, shift):
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _leakage(problem: Problem) -> str:
    """Mean squared correlation of neighbouring blocks' markers against 1 / n, what unrelated samples would give."""
    blocks, markers = problem.blocks, problem.markers
    n, found = problem.n_records, []
    width = markers.packed.shape[1]
    for b in range(min(8, len(blocks.owner) - 1)):
        first, middle, last = (int(blocks.start[b + i]) for i in range(3))
        rows = slice(first, last)
        values = np.empty((last - first, 4 * width))
        marker_values(markers.packed[rows], 0, width, markers.shift[rows], markers.missing[rows], values)
        values *= np.sqrt(problem.records.w).reshape(-1)
        cross = values[: middle - first] @ values[middle - first :].T
        scale = np.outer(markers.diagonal[first:middle], markers.diagonal[middle:last])
        found.append(float((cross**2 / scale).mean()))
    leakage = float(np.mean(found)) if found else 0.0
    return (
        f"the mean squared correlation between markers of neighbouring blocks is {leakage:.4f}, "
        f"{leakage * n:.1f} times that of independent markers"
    )


def _plan(
    name: str,
    loaded: Sequence[GenotypeSet],
    blocks: Blocks,
    settings: Settings,
    draws: int,
    n: int,
    p: int,
    threads: int,
) -> Plan:
    chains, width = settings.chains, packed_width(n)
    packed = sum(one.packed.nbytes for one in loaded)
    return Plan(
        f"{name}: {settings.chains} chains, {p:,} markers in {len(blocks.owner):,} blocks, {n:,} samples",
        bytes_per_pass=packed,
        passes=None,
        memory=[
            MemoryItem("Python and its libraries", _LIBRARIES),
            MemoryItem("packed genotypes", packed * (2 if len(loaded) > 1 else 1), lower="fewer variants"),
            MemoryItem("Gram matrices of the blocks", blocks.gram_bytes, lower="smaller blocks (--blocks)"),
            MemoryItem("state and sums of the chains", chains * (p * 50 + width * 4 * 8 * 4), lower="fewer chains"),
            MemoryItem("draws", chains * draws * 8 * 16),
            MemoryItem("work space of the threads", threads * (width * 4 * 8 * 2 + 16 * 256 * 256)),
        ],
        memory_limit=limits.memory_limit(settings.memory_limit),
    )


def _announce(
    name: str,
    used: np.ndarray,
    loaded: Sequence[GenotypeSet],
    priors: Sequence[Any],
    blocks: Blocks,
    iterations: int,
    settings: Settings,
    plan: Plan,
) -> None:
    log.info("Samples    %s in the genotypes, %s with a record of %s", f"{len(used):,}", f"{int(used.sum()):,}", name)
    for one, prior in zip(loaded, priors, strict=True):
        zero = f"P(effect = 0) starts at {prior.pi[0]:g}" if len(prior.gamma) > 1 else "all markers have an effect"
        log.info(
            "Markers    %s: %s, %s; %s%s",
            one.opened.name,
            f"{len(one.packed):,}",
            prior.method,
            zero,
            "" if prior.estimate_pi or len(prior.gamma) == 1 else ", fixed",
        )
    log.info(
        "Chains     %d of %s iterations, %s burn-in, every %d. saved; blocks of up to %d markers, schedule %s",
        settings.chains,
        f"{iterations:,}",
        f"{settings.burn_in:,}",
        settings.thin,
        int(blocks.sizes.max()),
        settings.schedule,
    )
    for line in plan.lines():
        log.info("%s", line)


# -- result --------------------------------------------------------------------------------------------------
def _posterior(
    name: str, chains: Chains, loaded: Sequence[GenotypeSet], used: np.ndarray, settings: Settings, run: RunKey
) -> Posterior:
    problem = chains.problem
    total = chains.n_chains * chains.saved
    mean = chains.sums.effect.sum(axis=0) / total
    spread = np.maximum(chains.sums.effect_square.sum(axis=0) / total - mean**2, 0.0) * total / max(1, total - 1)
    value = from_planes(chains.sums.genetic.sum(axis=0), problem.n_samples) / total
    square = from_planes(chains.sums.genetic_square.sum(axis=0), problem.n_samples) / total
    pev = np.maximum(square - value**2, 0.0) * total / max(1, total - 1)
    trace = chains.sums.trace[:, : chains.saved]
    genetic = float(trace[:, :, 1].mean())
    with np.errstate(invalid="ignore", divide="ignore"):
        reliability = np.clip(1 - pev / genetic, 0.0, 1.0) if genetic > 0 else np.zeros_like(pev)
    text = np.dtypes.StringDType()
    variables: dict[str, Any] = {
        "effect_mean": ("variant", mean),
        "effect_sd": ("variant", np.sqrt(spread)),
        "pip": ("variant", chains.sums.included.sum(axis=0) / total),
        "effect_centre": ("variant", np.concatenate([2 * one.frequency for one in loaded])),
        "breeding_value": ("sample", value),
        "pev": ("sample", pev),
        "reliability": ("sample", reliability),
        "phenotyped": ("sample", used),
        "trace": (("chain", "draw", "quantity"), trace),
        "location_draws": (("chain", "draw", "location"), chains.sums.theta[:, : chains.saved]),
    }
    if chains.draws:
        place = np.concatenate([place for place, _, _ in chains.draws], axis=1)
        marker = np.concatenate([marker for _, marker, _ in chains.draws])
        kept = np.concatenate([value for _, _, value in chains.draws])
        order = np.lexsort([marker, place[1], place[0]])  # not in the order of pieces, which a restart changes
        variables |= {
            "effect_draw_place": (("pair", "entry"), place[:, order]),
            "effect_draw_variant": ("entry", marker[order]),
            "effect_draw_value": ("entry", kept[order]),
        }
    variables |= _variant_columns(loaded)
    dataset = xr.Dataset(
        variables,
        coords={
            "quantity": np.array(trace_columns(problem), text),
            "location": np.array(problem.design.names, text),
            "sample_id": ("sample", np.array([str(i) for i in loaded[0].opened.sample_id], text)),
        },
        attrs={
            "method": settings.method,
            "trait": name,
            "schedule": settings.schedule,
            "seed": settings.seed,
            "n_iterations": chains.iteration,
            "burn_in": settings.burn_in,
            "thin": settings.thin,
            "block_starts": str(int(problem.blocks.sizes.max())),
        },
    )
    posterior = Posterior(dataset, run, marker_covariance=partial(_covariance, problem))
    for quantity in posterior.not_converged():
        row = posterior.diagnostics().loc[quantity]
        posterior.warnings.append(
            f"{quantity} has not converged: R-hat {row['r_hat']:.3f}, effective draws {row['ess_bulk']:.0f} (bulk), "
            f"{row['ess_tail']:.0f} (tail)"
        )
    for warning in posterior.warnings:
        log.warning("%s", warning)
    return posterior


def _covariance(problem: Problem, first: int, last: int) -> np.ndarray:
    """Covariance matrix (n - 1) of some markers over the samples with records."""
    markers, observed = problem.markers, problem.records.observed
    rows = slice(first, last)
    width = markers.packed.shape[1]
    values = np.empty((last - first, 4 * width))
    marker_values(markers.packed[rows], 0, width, markers.shift[rows], markers.missing[rows], values)
    values = values[:, observed.reshape(-1) > 0]
    values -= values.mean(axis=1, keepdims=True)
    return values @ values.T / (values.shape[1] - 1)


def _variant_columns(loaded: Sequence[GenotypeSet]) -> dict[str, Any]:
    """Set, and where the source has them id, contig, position and alleles of the markers."""
    text = np.dtypes.StringDType()
    columns: dict[str, Any] = {}
    if len(loaded) > 1:
        columns["variant_set"] = (
            "variant",
            np.concatenate([np.full(len(one.packed), one.opened.name, dtype=object) for one in loaded]).astype(text),
        )
    if any(one.opened.source is None for one in loaded):
        return columns
    parts: dict[str, list[np.ndarray]] = {}
    for one in loaded:
        source, view = one.opened.source, one.opened.view
        assert source is not None
        assert view is not None
        rows = one.kept if view.variants is None else view.variants[one.kept]
        keys = source.keys()
        parts.setdefault("variant_id", []).append(keys.variant_id[rows])
        parts.setdefault("variant_contig_name", []).append(keys.contig[rows])
        parts.setdefault("variant_position", []).append(keys.position[rows])
        parts.setdefault("variant_allele", []).append(keys.allele[rows])
    for name, arrays in parts.items():
        values = np.concatenate(arrays)
        dims = ("variant", "allele") if name == "variant_allele" else "variant"
        columns[name] = (dims, values if name == "variant_position" else values.astype(text))
    return columns


def read_inputs(
    phenotypes: Any,
    covariates: Any,
    samples: SampleIds,
    *,
    pheno_name: Any,
    covar_name: Any,
    covar_categorical: Any,
    covar_numeric: Any,
    missing_value: Any,
    random: Sequence[str] | Mapping[str, Any] | None,
    weights: Any,
) -> tuple[dict[str, np.ndarray], Covariates, dict[str, np.ndarray], dict[str, Any], np.ndarray | None]:
    """(phenotypes by name, covariates without the random ones, levels of random terms, precisions, weights)."""
    traits = read_phenotypes(phenotypes, samples, names=pheno_name, missing_value=missing_value)
    terms = (
        dict(random)
        if isinstance(random, Mapping)
        else dict.fromkeys([random] if isinstance(random, str) else random or [])
    )
    levels: dict[str, np.ndarray] = {}
    names = covar_name
    if terms:
        if covariates is None:
            raise UsageError("random names columns of covariates, but no covariates are given.")
        table = read_sample_table(covariates, samples, "covariates", columns=list(terms), missing_value=missing_value)
        for term in terms:
            column = table[term]
            gone = column.isna().to_numpy()
            levels[term] = np.array([None if g else str(v) for g, v in zip(gone, column, strict=True)], dtype=object)
        everything = read_sample_table(covariates, samples, "covariates", missing_value=missing_value)
        names = [c for c in (as_names(covar_name) or list(everything.columns)) if c not in terms]
    fixed = (
        Covariates.none(len(samples))
        if terms and not names
        else read_covariates(
            covariates,
            samples,
            names=names,
            categorical=covar_categorical,
            numeric=covar_numeric,
            missing_value=missing_value,
        )
    )
    weight = None
    if weights is not None:
        column = read_sample_table(weights, samples, "weights", missing_value=missing_value)
        if column.shape[1] != 1:
            raise UsageError("weights must be one column.", found=f"{column.shape[1]} columns")
        weight = numbers(column.iloc[:, 0], "weights")
    precisions = {term: value for term, value in terms.items() if value is not None and not isinstance(value, str)}
    return traits, fixed, levels, precisions, weight
