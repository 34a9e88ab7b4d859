"""daskgen info: what is in a store, on one screen."""

from __future__ import annotations

import click

from daskgen.cli.describe import array_lines, genotype_lines, labelled, provenance_lines
from daskgen.cli.describe_cells import cells_info, is_cells
from daskgen.cli.describe_gwas import gwas_lines
from daskgen.cli.describe_models import pca_lines, posterior_lines, reml_lines, sem_fit_lines
from daskgen.cli.describe_summary import covstruct_lines, ld_score_lines, sumstats_lines
from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]

# Kind of store -> what is said about it.
_LINES = {
    "genotypes": genotype_lines,
    "sumstats": sumstats_lines,
    "ld_scores": ld_score_lines,
    "covstruct": covstruct_lines,
    "gwas": gwas_lines,
    "sem_fit": sem_fit_lines,
    "pca": pca_lines,
    "reml": reml_lines,
    "posterior": posterior_lines,
}


@click.command("info", epilog=example("daskgen info cohort.zarr"))
@click.argument("store")
@settings_options()
def command(store: str, settings: Settings) -> None:
    """Say what is in a store, on one screen."""
    from daskgen.limits import format_bytes
    from daskgen.stores import open_group
    from daskgen.stores.location import Location

    with Run("info", settings, computes=False) as run:
        if is_cells(store):
            for line in cells_info(store):
                run.say(line)
            return
        group = open_group(store, allow_incomplete=True)
        attrs = group.attrs.asdict()
        location = Location.of(store)
        run.say(f"{location.name}: {attrs.get('kind')}, format {attrs['daskgen_format']}, {attrs.get('created_by')}")
        if not attrs.get("complete"):
            run.say(
                labelled(
                    "Incomplete", "its run was interrupted or is still going on; the command and --resume finish it"
                )
            )
        elif (describe := _LINES.get(str(attrs.get("kind")))) is not None:
            for line in describe(group):
                run.say(line)
        for line in provenance_lines(group):
            run.say(line)
        run.say(labelled("On disk", f"{format_bytes(location.size())} in {location.n_files():,} files"))
        run.say(labelled("Id", str(attrs.get("store_id"))))
        run.say()
        for line in array_lines(group, whole=settings.verbose > 0):
            run.say(line)
