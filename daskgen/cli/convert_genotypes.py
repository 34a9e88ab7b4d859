"""daskgen convert genotypes: genotype files to a store."""

from __future__ import annotations

import time
from typing import Any

import click

from daskgen.cli.options import Settings, example, pick_given, selection_options, settings_options
from daskgen.cli.run import Run, format_seconds

__all__ = ["command"]

EXAMPLE = "daskgen convert genotypes cohort.bed --out cohort.zarr"


@click.command("genotypes", epilog=example(EXAMPLE))
@click.argument("source", nargs=-1, required=True)
@click.option("--format", "file_format", metavar="NAME", help="plink1 or pgen. Default: by the name of the file.")
@click.option("--sample-file", metavar="FILE", help="The .fam or .psam file, where it is not beside the source.")
@click.option(
    "--ref",
    type=click.Choice(["last", "first"]),
    help="Which allele of the source is the reference; the other one is counted. Default: by the format.",
)
@selection_options()
@click.option(
    "--split-multiallelic/--no-split-multiallelic", default=True, help="One variant per ALT allele, or refuse them."
)
@click.option(
    "--dosages",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    show_default=True,
    help="Keep dosages: where there are any, required, or hard calls only.",
)
@click.option(
    "--id-style",
    type=click.Choice(["iid", "fid_iid"]),
    default="iid",
    show_default=True,
    help="What a sample's id is: IID, or FID_IID where IIDs are repeated.",
)
@click.option(
    "--genome", default="human", show_default=True, help="Which contigs are X, Y, MT: human, cattle, ..., or a file."
)
@click.option(
    "--chunk-mb", type=click.FloatRange(min=0, min_open=True), metavar="MB", help="Size of a chunk. Default: 8."
)
@click.option(
    "--compression",
    type=click.Choice(["auto", "none", "zstd", "lz4"]),
    default="auto",
    show_default=True,
    help="Of chunks.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan (bytes, files, memory) and write nothing.")
@settings_options("out", "force", "resume", "cluster", "memory_limit", "scratch")
def command(
    source: tuple[str, ...],
    file_format: str | None,
    sample_file: str | None,
    ref: str | None,
    selection: dict[str, Any],
    split_multiallelic: bool,
    dosages: str,
    genome: str,
    chunk_mb: float | None,
    compression: str,
    id_style: str,
    dry_run: bool,
    settings: Settings,
) -> None:
    """Convert genotype files to a Zarr store.

    SOURCE is a .bed or .pgen file (its .bim/.fam or .pvar/.psam beside it), several of them with the same samples,
    or a pattern such as "chr{1:22}.bed". The first variants are printed with the allele that is counted.
    """
    import conversion

    options: dict[str, Any] = {
        "split_multiallelic": split_multiallelic,
        "dosages": {"auto": "auto", "yes": True, "no": False}[dosages],
        "genome": genome,
        "compression": compression,
        "id_style": id_style,
        "dry_run": dry_run,
        "force": settings.force,
        "resume": settings.resume,
        **pick_given({"format": file_format, "sample_file": sample_file, "ref": ref, "chunk_mb": chunk_mb}),
        **selection,
    }
    with Run("convert genotypes", settings, resumable=True) as run:
        assert settings.out is not None
        started = time.monotonic()
        conversion.genotypes(list(source) if len(source) > 1 else source[0], settings.out, **options)
        if dry_run:
            run.say("Nothing was written (--dry-run).")
            run.keeps_log = False
            return
        describe_result(run, settings.out, time.monotonic() - started)


def describe_result(run: Run, path: str, seconds: float) -> None:
    """What was made: calls, size and time on the terminal; shape and provenance in the summary."""
    from daskgen.cli.describe import call_line, length
    from daskgen.limits import format_bytes
    from daskgen.stores import open_group
    from daskgen.stores.location import Location

    group = open_group(path, "genotypes")
    size = Location.of(path).size()
    run.say(call_line(group))
    run.say(f"{path}   {format_bytes(size)} in {format_seconds(seconds)}      next: daskgen info {path}")
    run.summary.update(
        store=path,
        store_id=group.attrs["store_id"],
        bytes=size,
        n_samples=length(group, "sample_id"),
        n_variants=length(group, "variant_id"),
        provenance=group.attrs["provenance"],
    )
