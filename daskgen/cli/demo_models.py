"""The demo's part on models: a factor with a SNP, variance components and marker effects, against their truth."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from daskgen.cli import demo_gwas
from daskgen.cli.demo_gwas import short

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from daskgen.cli.demo import Demo

__all__ = ["bayes", "reml", "sem"]

_H2, _RG = 0.5, 0.6
_N_CAUSAL = 100
_CHAIN_LENGTH = 1_000


def sem(demo: Demo) -> list[str]:
    """One factor behind the five traits, and its regression on every SNP; ten SNPs act on it."""
    import daskgen as dg

    names = demo_gwas.TRAITS
    measurement = f"F =~ NA*{' + '.join(names)}\nF ~~ 1*F"
    fit = dg.sem.usermodel(demo.path("covstruct.zarr"), measurement)
    table = fit.estimates
    found = table[table["op"] == "=~"].set_index("rhs")["est"]
    truth = dict(zip(names, demo_gwas.loadings().tolist(), strict=True))
    gwas = dg.sem.user_gwas(
        demo.path("covstruct.zarr"), demo.path("sumstats.zarr"), f"{measurement}\nF ~ SNP", q_snp=True
    )
    gwas.dg.to_store(demo.path("gwas.zarr"), force=True)
    result = dg.open_store(demo.path("gwas.zarr"))
    hits = result.dg.top("F~SNP", p=5e-8)
    right = len(set(demo_gwas.CAUSAL) & set(map(str, hits["variant_id"])))
    factor = result.dg.lambda_gc("F~SNP")
    demo.facts["sem"] = {
        "loadings": {"estimate": {name: float(found[name]) for name in names}, "truth": truth},
        "causal_found": right,
        "hits": len(hits),
        "lambda_gc": float(factor),
    }
    loadings = "  ".join(f"{name} {short(found[name])} ({short(truth[name])})" for name in names)
    return [
        f"one factor {loadings} (truth)",
        f"{result.sizes['variant']:,} SNPs: {right} of {len(demo_gwas.CAUSAL)} causal ones at p < 5e-8, "
        f"{len(hits) - right} others; lambda GC {factor:.3f}",
    ]


def _phenotype(demo: Demo) -> tuple[pd.DataFrame, np.ndarray]:
    """A trait of the cohort with a heritability of one half, and the components that tell the populations apart."""
    import daskgen as dg
    from daskgen import simulate

    table = simulate.phenotypes(demo.path("cohort.zarr"), h2=_H2, n_causal=_N_CAUSAL, traits=["y"], seed=demo.seed)
    truth = table.attrs["truth"]
    demo.facts["phenotype"] = {"h2": _H2, "realised_h2": float(truth["realised_h2"]["total"]["y"])}
    components = dg.genotypes.pca(demo.path("cohort.zarr"), demo.n_populations - 1, loadings=False, seed=demo.seed)
    return table, components["scores"].values


def reml(demo: Demo) -> list[str]:
    """Heritability of the simulated trait, its breeding values, populations as covariates; correlation of two more."""
    import numpy as np

    import daskgen as dg

    table, components = _phenotype(demo)
    fit = dg.reml.fit(demo.path("cohort.zarr"), table, components, seed=demo.seed)
    h2 = fit.heritability.iloc[-1]
    blup = fit.random_effects()["effect"].sum("component").values.ravel()
    accuracy = float(np.corrcoef(blup, table.attrs["truth"].genetic_values["y"])[0, 1])
    truth = demo.facts["phenotype"]["realised_h2"]
    two = dg.simulate.phenotypes(demo.path("cohort.zarr"), h2=_H2, traits=["a", "b"], rg=_RG, seed=demo.seed)
    pair = dg.reml.rg(demo.path("cohort.zarr"), two, components, seed=demo.seed).iloc[0]
    true_rg = float(two.attrs["truth"]["realised_rg"]["a"]["b"])
    demo.facts["reml"] = {
        "h2": {"estimate": float(h2["h2"]), "se": float(h2["se"]), "truth": truth},
        "accuracy": accuracy,
        "rg": {"estimate": float(pair["rg"]), "se": float(pair["se"]), "truth": true_rg},
    }
    return [
        f"h2 {h2['h2']:.2f} +- {h2['se']:.2f} (truth {truth:.2f}); r(BLUP, genetic value) {accuracy:.2f}",
        f"two traits more: rg {pair['rg']:.2f} +- {pair['se']:.2f} (truth {true_rg:.2f})",
    ]


def bayes(demo: Demo) -> list[str]:
    """Marker effects of the same trait: BayesC pi."""
    import numpy as np

    import daskgen as dg

    table, components = _phenotype(demo)
    # The line below has the R-hat; that these chains are short needs no warning of its own.
    log = logging.getLogger("daskgen.bayes")
    log.disabled = True
    posterior = dg.bayes.fit(
        demo.path("cohort.zarr"),
        table,
        components,
        method="BayesC",
        pi=0.99,
        estimate_pi=False,
        chain_length=_CHAIN_LENGTH,
        burn_in=_CHAIN_LENGTH // 4,
        chains=2,
        keep_effects=False,
        seed=demo.seed,
    )
    log.disabled = False
    h2 = posterior.heritability
    truth = table.attrs["truth"]
    values = posterior.breeding_values["mean"].values
    accuracy = float(np.corrcoef(values, truth.genetic_values["y"])[0, 1])
    r_hat = float(posterior.diagnostics().loc["heritability", "r_hat"])
    realised = demo.facts["phenotype"]["realised_h2"]
    demo.facts["bayes"] = {
        "h2": {"estimate": float(h2["mean"]), "sd": float(h2["sd"]), "truth": realised},
        "accuracy": accuracy,
        "r_hat": r_hat,
    }
    return [
        f"BayesC: h2 {h2['mean']:.2f} +- {h2['sd']:.2f} (truth {realised:.2f}), R-hat {r_hat:.3f}; "
        f"r(EBV, genetic value) {accuracy:.2f}"
    ]
