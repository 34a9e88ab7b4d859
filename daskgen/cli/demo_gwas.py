"""The demo's part on GWAS results: raw files as met in the wild, aligned, and LD-score regression on them.

What it leaves for steps after it: ``gwas/`` (raw files and their reference), ``ld.zarr``, ``munged.zarr``,
``sumstats.zarr`` (effects, for models with SNPs) and ``covstruct.zarr``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from daskgen.cli.demo import Demo

__all__ = [
    "CAUSAL",
    "EFFECT",
    "HERITABILITY",
    "LOADING",
    "TRAITS",
    "N",
    "covariance",
    "ldsc",
    "loadings",
    "short",
    "sumstats",
]

# The truth: one factor F with variance 1 behind the genetic parts of all traits, and ten variants that act through it.
TRAITS = ("A", "B", "C", "D", "E")
HERITABILITY = (0.30, 0.20, 0.40, 0.15, 0.25)
LOADING = (0.8, 0.7, 0.6, 0.5, -0.4)
"""Of the standardised genetic parts on F."""
N = (80_000, 120_000, 60_000, 150_000, 100_000)
CAUSAL = tuple(f"rs{19_997 * i}" for i in range(1, 11))
EFFECT = 0.08
"""Of an allele of a causal variant on F."""

_N_VARIANTS = 200_000


def loadings() -> np.ndarray:
    """Loadings of the traits on F, unstandardised: (5,)."""
    import numpy as np

    return np.asarray(LOADING * np.sqrt(HERITABILITY))


def covariance() -> np.ndarray:
    """The true S: products of the loadings, heritabilities on the diagonal."""
    import numpy as np

    s = np.outer(loadings(), loadings())
    np.fill_diagonal(s, HERITABILITY)
    return s


def sumstats(demo: Demo) -> list[str]:
    """GWAS with known truth as raw files of five tools, aligned to their reference for both uses."""
    import numpy as np

    import conversion
    from daskgen import simulate
    from daskgen.limits import format_bytes
    from daskgen.stores.location import Location

    scores = simulate.ld_scores(demo.path("ld.zarr"), n_variants=_N_VARIANTS, seed=demo.seed, force=True)
    intercepts = np.diag(np.full(len(TRAITS), 1.04))
    intercepts[0, 1] = intercepts[1, 0] = 0.1  # samples of A and B overlap
    drawn = simulate.sumstats(
        demo.path("drawn.zarr"),
        scores,
        S=covariance(),
        N=N,
        intercepts=intercepts,
        traits=TRAITS,
        missing_rate=0.02,
        seed=demo.seed,
        force=True,
    )
    effects = dict.fromkeys(CAUSAL, EFFECT * loadings())
    raw = simulate.gwas_files(demo.path("gwas"), drawn, effects=effects, seed=demo.seed, force=True)
    # Trait B's file has no column of sample sizes.
    files, n = list(raw.files.values()), {"B": N[1]}
    munged = conversion.munge(files, raw.reference, demo.path("munged.zarr"), n=n, force=True)
    conversion.sumstats(files, raw.reference, demo.path("sumstats.zarr"), scale="linear", n=n, force=True)
    kept, turned = (sum(getattr(report, name) for report in munged.reports) for name in ("kept", "flipped"))
    demo.facts["sumstats"] = {"rows_kept": kept, "rows_turned": turned}
    return [
        f"{len(TRAITS)} GWAS at {_N_VARIANTS:,} SNPs in the columns of five tools, "
        f"{format_bytes(Location.of(demo.path('gwas')).size())}",
        f"munged and scaled: {kept:,} rows kept, {100 * turned / kept:.0f} % of them with alleles turned",
    ]


def ldsc(demo: Demo) -> list[str]:
    """Heritabilities and genetic correlations against those that the statistics were drawn from."""
    import numpy as np

    import daskgen as dg

    found = dg.ldsc.ldsc(demo.path("munged.zarr"), demo.path("ld.zarr"))
    dg.ldsc.to_store(found, demo.path("covstruct.zarr"), force=True)
    s = covariance()
    truth = s / np.sqrt(np.outer(HERITABILITY, HERITABILITY))
    lower = np.tril_indices(len(TRAITS))
    deviation = np.abs(found["S"].values - s)[lower] / found["S_se"].values[lower]
    rg = found["rg"].values
    demo.facts["ldsc"] = {
        "h2": {"estimate": found["h2"].values.tolist(), "truth": list(HERITABILITY)},
        "rg": {"estimate": rg.tolist(), "truth": truth.tolist()},
        "largest_deviation_in_standard_errors": float(deviation.max()),
    }
    estimates = zip(TRAITS, found["h2"].values, HERITABILITY, strict=True)
    h2 = (f"{name} {short(value)} ({short(true)})" for name, value, true in estimates)
    pairs = ((0, 1), (0, 2), (1, 2), (0, 4))
    shown = (f"{TRAITS[i]},{TRAITS[j]} {short(rg[i, j])} ({short(truth[i, j])})" for i, j in pairs)
    return [
        f"h2 {'  '.join(h2)} (truth)",
        f"rg {'  '.join(shown)}; all within {deviation.max():.1f} standard errors",
    ]


def short(value: float) -> str:
    """Two decimals, without the zero before the point."""
    return f"{value:.2f}".replace("0.", ".", 1)
