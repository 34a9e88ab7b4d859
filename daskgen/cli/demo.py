"""daskgen demo: simulate, convert, run everything there is, and print the truth beside the estimate.

Each step is a function that is given the demo's folder and says in a line what came out; a new engine adds one to
`STEPS`.
"""

from __future__ import annotations

import dataclasses
import filecmp
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from daskgen.cli import demo_cells, demo_gwas, demo_models
from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run, format_seconds
from daskgen.errors import StoreError

__all__ = ["STEPS", "Demo", "command"]


@dataclass
class Demo:
    """What the steps share: where they write, how large the cohort is, and facts for the summary."""

    folder: Path
    seed: int
    n_samples: int = 2_000
    n_variants: int = 20_000
    n_populations: int = 3
    fst: float = 0.05
    facts: dict[str, Any] = field(default_factory=dict)

    def path(self, name: str) -> str:
        """A path in the demo's folder."""
        return str(self.folder / name)


def simulate(demo: Demo) -> list[str]:
    """A cohort with known truth, straight into a store."""
    from daskgen import simulate

    simulate.genotypes(
        demo.path("simulated.zarr"),
        n_samples=demo.n_samples,
        n_variants=demo.n_variants,
        missing_rate=0.01,
        populations=demo.n_populations,
        fst=demo.fst,
        seed=demo.seed,
        force=True,
    )
    return [
        f"{demo.n_samples:,} people of {demo.n_populations} populations x {demo.n_variants:,} SNPs, "
        "1 % of calls missing"
    ]


def convert(demo: Demo) -> list[str]:
    """The cohort as PLINK files, converted; nothing may be lost on the way."""
    import conversion
    import daskgen as dg
    from daskgen.limits import format_bytes
    from daskgen.stores.location import Location

    conversion.export_bed(demo.path("simulated.zarr"), demo.path("cohort"), force=True)
    conversion.genotypes(demo.path("cohort.bed"), demo.path("cohort.zarr"), force=True)
    conversion.export_bed(demo.path("cohort.zarr"), demo.path("again"), force=True)
    same = filecmp.cmp(demo.path("cohort.bed"), demo.path("again.bed"), shallow=False)
    problems = dg.verify(demo.path("cohort.zarr"))
    if problems or not same:
        raise StoreError("the converted cohort is not the one that was simulated.", found="\n".join(problems))
    for suffix in ("bed", "bim", "fam"):
        os.unlink(demo.path(f"again.{suffix}"))
    demo.facts["round_trip_identical"] = same
    sizes = [Location.of(demo.path(name)).size() for name in ("cohort.bed", "cohort.zarr")]
    return [
        f"cohort.bed {format_bytes(sizes[0])}, cohort.zarr {format_bytes(sizes[1])}; whole, and back to the same .bed"
    ]


def statistics(demo: Demo) -> list[str]:
    """Allele frequencies and inbreeding against what the simulation drew.

    The error of a frequency has the variance sum_k (n_k / n) p_k (1 - p_k) / (2 n_called), p_k that of population k.
    In K populations of equal size with F_ST = F, the pooled sample lacks 1 - (1 - F) / (1 - F / K) of its
    heterozygotes.
    """
    import numpy as np

    import daskgen as dg

    truth = dg.open_store(demo.path("simulated.zarr"))
    found = dg.genotypes.variant_stats(demo.path("cohort.zarr")).compute()
    population = np.asarray(truth["sample_population"])
    share = np.bincount(population, minlength=demo.n_populations) / len(population)
    p = np.asarray(truth["variant_population_frequency"])
    error = np.sqrt(np.mean((found["variant_allele_frequency"].values - p @ share) ** 2))
    expected_error = np.sqrt(np.mean((p * (1 - p)) @ share / (2 * found["variant_n_called"].values)))
    samples = dg.genotypes.sample_stats(demo.path("cohort.zarr"))
    inbreeding = float(samples["sample_inbreeding"].mean())
    expected_inbreeding = 1 - (1 - demo.fst) / (1 - demo.fst / demo.n_populations)
    demo.facts["statistics"] = {
        "frequency_error": {"estimate": float(error), "truth": float(expected_error)},
        "inbreeding": {"estimate": inbreeding, "truth": expected_inbreeding},
    }
    return [
        f"allele frequencies: error {error:.4f} (sampling error {expected_error:.4f})   "
        f"F {inbreeding:.3f} (truth {expected_inbreeding:.3f})"
    ]


def components(demo: Demo) -> list[str]:
    """Principal components: one less than there are populations tell these apart, and the next does not."""
    import numpy as np

    import daskgen as dg

    truth = dg.open_store(demo.path("simulated.zarr"))
    result = dg.genotypes.pca(demo.path("cohort.zarr"), demo.n_populations, seed=demo.seed)
    population = np.asarray(truth["sample_population"])
    scores = result["scores"].values - result["scores"].values.mean(axis=0)
    means = np.stack([scores[population == k].mean(axis=0) for k in range(demo.n_populations)])
    explained = (means[population] ** 2).sum(axis=0) / (scores**2).sum(axis=0)
    demo.facts["components"] = {"explained_by_population": explained.tolist()}
    shares = ", ".join(f"PC{i + 1} {100 * value:.1f} %" for i, value in enumerate(explained))
    return [f"populations explain {shares} (truth: all of the first {demo.n_populations - 1})"]


STEPS: list[tuple[str, Callable[[Demo], list[str]]]] = [
    ("simulate", simulate),
    ("convert", convert),
    ("statistics", statistics),
    ("components", components),
    ("sumstats", demo_gwas.sumstats),
    ("ldsc", demo_gwas.ldsc),
    ("sem", demo_models.sem),
    ("reml", demo_models.reml),
    ("bayes", demo_models.bayes),
    ("cells", demo_cells.cells),
]


@click.command("demo", epilog=example("daskgen demo --out demo"))
@settings_options("out", "force", "seed", "cluster", "memory_limit")
def command(settings: Settings) -> None:
    """Simulate a small cohort, run everything on it, print truth beside estimate.

    --out is a folder. It takes under a minute, after the kernels have been compiled once.
    """
    assert settings.out is not None
    folder = Path(settings.out)
    if folder.exists() and any(folder.iterdir()) and not settings.force:
        raise StoreError(f"{folder} is there and not empty.", do="choose another folder, or --force to write into it")
    folder.mkdir(parents=True, exist_ok=True)
    demo = Demo(folder, settings.seed)
    with Run("demo", dataclasses.replace(settings, out=str(folder / "demo")), relays=False) as run:
        seconds = compile_kernels()
        if seconds > 1:
            run.say(f"  compile    kernels, once on this machine{format_seconds(seconds):>64}")
        for number, (name, step) in enumerate(STEPS, start=1):
            started = time.monotonic()
            first, *rest = step(demo)
            run.say(f"{f'{number} {name}':<13}{first:<82}{format_seconds(time.monotonic() - started):>9}")
            for line in rest:
                run.say(f"{'':<13}{line}")
        run.say(f"{write_report(folder)}Everything is in {folder}/")
        run.summary.update(demo.facts)


def write_report(folder: Path) -> str:
    """The results of all steps on one page; what is said of it: nothing where figures cannot be drawn."""
    from daskgen.errors import MissingPackageError
    from daskgen.reporting import make_report

    try:
        return f"Report: {make_report(folder, folder / 'report.html', title='daskgen demo', force=True)}      "
    except MissingPackageError:
        return ""


def compile_kernels() -> float:
    """Compile the kernels, or read them from the cache; the seconds that it took."""
    from daskgen import limits
    from daskgen.kernels.warming import warm

    started = time.monotonic()
    warm(limits.cores())
    return time.monotonic() - started
