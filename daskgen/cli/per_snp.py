"""What the commands with one fit per variant share: options, the run, and the closing lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from daskgen.cli.run import Run, format_seconds

__all__ = ["describe_scan", "estimation_option", "gc_option", "run_scan", "smooth_check_option", "snp_se_option"]

_GENOME_WIDE = 5e-8


estimation_option = click.option(
    "--estimation",
    type=click.Choice(["DWLS", "ML"], case_sensitive=False),
    default="DWLS",
    show_default=True,
    help="Weighted least squares, or maximum likelihood.",
)
gc_option = click.option(
    "--gc",
    type=click.Choice(["standard", "conserv", "none"]),
    default="standard",
    show_default=True,
    help="Standard errors of the effects times the root of the intercept, times the intercept, or as they are.",
)
snp_se_option = click.option(
    "--snp-se",
    type=click.FloatRange(min=0, min_open=True),
    default=0.0005,
    show_default=True,
    metavar="X",
    help="Standard error of the SNP's variance.",
)
smooth_check_option = click.option(
    "--smooth-check", is_flag=True, help="Keep how much smoothing changed the Z of a trait (z_smooth)."
)


def run_scan(run: Run, write: Callable[..., str]) -> None:
    """Fit and write, and say what came out. write: takes the path, `force` and `resume`, and returns the place."""
    settings = run.settings
    assert settings.out is not None
    started = time.monotonic()
    store = write(settings.out, force=settings.force, resume=settings.resume)
    describe_scan(run, settings.out, store, time.monotonic() - started)


def describe_scan(run: Run, out: str, store: str, seconds: float) -> None:
    """Variants by status, inflation and hits of each effect, size and time, and what to do next."""
    from daskgen.gwas import lambda_and_hits, open_results, snp_effects, status_counts
    from daskgen.limits import format_bytes
    from daskgen.stores.location import Location

    dataset = open_results(store)
    n = int(dataset.sizes["variant"])
    scan = "beta" in dataset.variables
    table = dataset["status"].attrs.get("table", {})
    counts = status_counts(dataset)
    total = sum(counts.values())  # of a scan of several phenotypes, each variant once for each
    for position, (code, count) in enumerate(counts.items()):
        text = table.get(str(code), f"status {code}")
        run.say(f"{'' if position else 'Tests' if scan else 'Fits':<11}{count:,} {text} ({100 * count / total:.3g} %)")
    effects: dict[str, Any] = {}
    for position, label in enumerate(snp_effects(dataset)):
        inflation, hits = lambda_and_hits(dataset, label, p=_GENOME_WIDE)
        shown = "NA" if inflation != inflation else f"{inflation:.4f}"
        run.say(f"{'' if position else 'Effects':<11}{label}: lambda GC {shown}, {hits:,} variants at p < 5e-8")
        effects[label] = {"lambda_gc": None if inflation != inflation else inflation, "n_genome_wide": hits}
    size = Location.of(store).size()
    run.say(f"{out}   {n:,} variants, {format_bytes(size)} in {format_seconds(seconds)}")
    first = next(iter(effects), "")
    stem = out.removesuffix("/").removesuffix(".zarr")
    which = f' --parameter "{first}"' if len(effects) > 1 else ""
    run.say(f"next: daskgen plot manhattan {out}{which} --out {stem}.png")
    layout = f"plink2{which}" if scan else "genomicsem"
    run.say(f"      daskgen export tsv {out} --for {layout} --out {stem}.tsv.gz")
    run.summary.update(
        store=store,
        store_id=dataset.attrs["store_id"],
        bytes=size,
        n_variants=n,
        status={str(code): {"text": table.get(str(code), ""), "variants": count} for code, count in counts.items()},
        effects=effects,
        provenance=dataset.attrs["provenance"],
    )
