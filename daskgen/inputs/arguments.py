"""Unknown arguments are answered with ours: `@known_arguments()` for public functions.

People come from GenomicSEM, LDSC, PLINK, GCTA or scikit-learn and call things as they do there. A name that differs
from one of ours only in capitals, points, hyphens or underscores is recognised by itself (``sample.prev``, ``CFIcalc``,
``n-blocks``); `NAMES` has the others.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from daskgen.errors import UsageError

__all__ = ["NAMES", "NOTES", "known_arguments", "our_name"]

F = TypeVar("F", bound=Callable[..., Any])

NAMES: Mapping[str, tuple[str, ...]] = {
    # GenomicSEM
    "columnnames": ("columns",),
    "covmat": ("S",),
    "covstruc": ("covstruct",),
    "files": ("source", "munged"),
    "hm3": ("reference",),
    "int": ("intercepts",),
    "ld": ("ld_scores",),
    "ldscobject": ("covstruct",),
    "ldscoutput": ("covstruct",),
    "ref": ("reference",),
    "traitnames": ("traits",),
    # LDSC
    "annot": ("annotations",),
    "frqfile": ("frequencies",),
    "h2": ("munged",),
    "infomin": ("info_filter",),
    "ldwindcm": ("window",),
    "ldwindkb": ("window",),
    "ldwindsnps": ("window",),
    "mafmin": ("maf_filter",),
    "mergealleles": ("reference",),
    "popprev": ("population_prev",),
    "refldchr": ("ld_scores",),
    "rg": ("munged",),
    "sampprev": ("sample_prev",),
    "sumstats": ("munged", "files"),
    # PLINK, GCTA
    "bfile": ("source", "genotypes"),
    "bgen": ("source", "genotypes"),
    "chr": ("contig", "select"),
    "geno": ("missing_max",),
    "maf": ("maf_min", "maf_filter"),
    "pfile": ("source", "genotypes"),
    "prevalence": ("population_prev",),
    "snps": ("sumstats", "extract"),
    "vcf": ("source", "genotypes"),
    # JWAS, BGLR
    "covar": ("covariates",),
    "df0": ("df",),
    "estimatevariance": ("estimate_marker_variance",),
    "fixed": ("covar_name",),
    "g": ("genetic_variance",),
    "heterogeneousresiduals": ("weights",),
    "model": ("method",),
    "nchains": ("chains",),
    "niter": ("chain_length",),
    "outputsamplesfrequency": ("thin",),
    "pheno": ("phenotypes",),
    "saveeffects": ("keep_effects",),
    "y": ("phenotypes",),
    # scanpy, decoupler
    "adata": ("cells", "path"),
    "data": ("cells",),
    "net": ("gene_sets",),
    # anywhere
    "blocks": ("n_blocks",),
    "chrom": ("contig",),
    "chromosome": ("contig",),
    "individuals": ("keep",),
    "maxchisq": ("chisq_max",),
    "maxiter": ("max_passes",),
    "ncomponents": ("n",),
    "ncomps": ("n",),
    "npcs": ("n",),
    "out": ("destination", "save", "path"),
    "output": ("destination", "save", "path"),
    "overwrite": ("force",),
    "randomstate": ("seed",),
    "replace": ("force",),
    "samples": ("keep", "n_samples"),
    "savepath": ("save",),
    "variants": ("extract", "n_variants"),
}
"""Another tool's name, in small letters without separators -> ours: the first of them that the function has."""

_WHERE = 'where it runs is said around the call: with dg.cluster.connect("local:4"): ...'
_COLUMNS = 'columns={"effect_allele": "AL1", ...}; the fields: daskgen convert munge --columns'

_MARKER_MODELS: Mapping[str, tuple[str | None, str]] = {
    "counts": ("pi", "the prior of pi is Beta(1, 1); estimate_pi=False holds it fixed"),
    "eta": ("method", "genotypes, covariates and random are arguments of their own; several genotypes: {name: store}"),
    "fastblocks": ("schedule", 'blocks=size; schedule="jwas" for the repeats inside blocks of JWAS'),
    "gismarkervariance": ("marker_variance", "give marker_variance, or genetic_variance"),
    "independentblocks": ("schedule", 'schedule="independent", an approximation'),
    "memoryguard": ("memory_limit", "memory_limit, or --memory-limit"),
    "outputebv": ("method", "breeding values of every sample are always there: posterior.breeding_values"),
    "outputheritability": ("method", "it is always there: posterior.heritability"),
    "probin": ("pi", "pi = 1 - probIn: pi is the probability that an effect is zero"),
    "qualitycontrol": ("maf_min", "markers without variation are always left out; maf_min for rare ones"),
    "r2": ("genetic_variance", "genetic_variance = R2 times the phenotypic variance; the default is R2 = 0.5"),
    "s0": ("marker_variance", "marker_variance, the prior's mean: S0 / (df0 - 2)"),
    **dict.fromkeys(("saveat", "outputfolder"), ("method", "posterior.to_store(path); draws: posterior.to_datatree()")),
    "startingvalue": ("method", "chains start without effects; marker_variance and residual_variance give the others"),
    "storage": ("method", "stores are always read packed"),
    **dict.fromkeys(("doubleprecision", "printoutfrequency", "printoutmodelinfo"), ("method", "not needed")),
    **dict.fromkeys(
        ("annotations", "categoricaltrait", "causalstructure", "censoredtrait", "latenttraits", "nonlinearfunction",
         "pedigree", "responsetype", "rrm", "singlestepanalysis", "traittype"),
        ("method", "there is no such model yet"),
    ),
}  # fmt: skip


_SINGLE_CELLS: Mapping[str, tuple[str | None, str]] = {
    **dict.fromkeys(
        ("layer", "layers", "obsm", "raw", "useraw"),
        ("cells", "steps work on X; make a store of the other counts: daskgen convert cells --counts LAYER"),
    ),
    **dict.fromkeys(
        ("copy", "inplace"),
        ("cells", "results are always written into the store, and X is never changed; leave it out"),
    ),
    **dict.fromkeys(("exprtype", "vartype"), ("cells", "columns have the names of scanpy's defaults; leave it out")),
    **dict.fromkeys(("chunked", "chunksize", "bsize"), ("cells", "all is read in blocks; leave it out")),
    "filterunexpressedgenes": ("cells", "filter_genes(cells, min_cells=1) first"),
    "layernorm": ("cells", "target_sum=None takes the median of the totals"),
    "maskobs": ("cells", "filter_cells(cells, keep=mask) first: every step leaves out what filters left out"),
    "returninfo": ("cells", "loadings and variances are always written: varm['PCs'], uns['pca']"),
    "subset": ("cells", 'variable genes are marked in var; to_anndata(genes="highly_variable") takes them'),
    "usehighlyvariable": ("cells", 'mask_var="highly_variable", or mask_var=None for all genes'),
}


NOTES: Mapping[str, tuple[str | None, str]] = {
    **dict.fromkeys(("cores", "ncores", "nthreads", "threads", "parallel", "njobs", "mpi"), (None, _WHERE)),
    **_MARKER_MODELS,
    **_SINGLE_CELLS,
    "printwarn": (None, "not needed: warnings are in the status of each SNP"),
    "toler": (None, "not needed: what has converged is checked"),
    **dict.fromkeys(("logname", "ldsclog"), (None, 'what is reported goes to logging.getLogger("daskgen")')),
    **dict.fromkeys(("a1", "a2", "snp", "frq", "p", "signedsumstats", "ncol", "infocol"), ("columns", _COLUMNS)),
    **{
        theirs: ("scale", f'say scale="{ours}", for each trait')
        for theirs, ours in (
            ("selogit", "logistic"),
            ("ols", "linear"),
            ("linprob", "linear_probability"),
            ("betas", "standardised"),
        )
    },
    **dict.fromkeys(
        ("wld", "wldchr"),
        ("sep_weights", "weights are converted with the LD scores (weights=), and used with sep_weights=True"),
    ),
}
"""Another tool's name -> (the argument that a function needs for it, or None for any; what to do instead)."""


def known_arguments(*more: str) -> Callable[[F], F]:
    """A function that answers keywords it does not have with the name that it has for them, as a UsageError.

    more: names that the function takes by ``**``. Its signature and help stay as they are.
    """

    def decorate(function: F) -> F:
        parameters = inspect.signature(function).parameters.values()
        names = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)] + list(more)
        known = frozenset(names)

        @functools.wraps(function)
        def checked(*args: Any, **keywords: Any) -> Any:
            for name in keywords:
                if name not in known:
                    raise _unknown(function.__name__, name, names)
            return function(*args, **keywords)

        checked.known_arguments = names  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return decorate


def our_name(theirs: str, ours: Iterable[str]) -> str | None:
    """The one of `ours` that another tool calls `theirs`; None if there is none."""
    by_letters = {_letters(name): name for name in ours}
    letters = _letters(theirs)
    if letters in by_letters:
        return by_letters[letters]
    names = set(by_letters.values())
    return next((name for name in NAMES.get(letters, ()) if name in names), None)


def _unknown(function: str, given: str, names: list[str]) -> UsageError:
    summary = f"{function}() has no argument {given!r}."
    ours = our_name(given, names)
    if ours is not None:
        return UsageError(summary, do=f"here it is called {ours}")
    needed, instead = NOTES.get(_letters(given), ("", ""))
    if needed is None or needed in names:
        return UsageError(summary, do=instead)
    near = difflib.get_close_matches(given, names, n=1)
    return UsageError(summary, expected=", ".join(names), do=f"did you mean {near[0]}?" if near else None)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
