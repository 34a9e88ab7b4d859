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
@click.option(
    "--format",
    "file_format",
    metavar="NAME",
    help="plink1, pgen, bgen, vcf, vcf_zarr, gen or text. Default: by name and content of the file.",
)
@click.option(
    "--sample-file", metavar="FILE", help="The .fam, .psam or .sample file, where it is not beside the source."
)
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
    "--half-calls",
    type=click.Choice(["missing", "refuse"]),
    default="missing",
    show_default=True,
    help="Calls with one allele of two missing (./1): make them missing and count them, or refuse them.",
)
@click.option(
    "--hard-call-threshold",
    type=click.FloatRange(0, 0.5, max_open=True),
    metavar="X",
    help="How far from 0, 1 or 2 a dosage may be and still be a call, where the source has no calls. Default: 0.1.",
)
@click.option(
    "--dosage-bits",
    type=click.Choice(["16", "8"]),
    default="16",
    show_default=True,
    help="Precision of dosages: steps of 1/16384, or of 1/256, which take less room.",
)
@click.option("--hard-calls/--no-hard-calls", default=True, help="Store hard calls too, or dosages only.")
@click.option(
    "--default-contig", metavar="NAME", help="Contig of variants for which the source names none. Default: 0."
)
@click.option("--variant-file", metavar="FILE", help="Map of a text matrix: marker, contig, position[, alleles].")
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
    half_calls: str,
    hard_call_threshold: float | None,
    dosage_bits: str,
    hard_calls: bool,
    default_contig: str | None,
    variant_file: str | None,
    genome: str,
    chunk_mb: float | None,
    compression: str,
    id_style: str,
    dry_run: bool,
    settings: Settings,
) -> None:
    """Convert genotype files to a Zarr store.

    SOURCE is a .bed or .pgen file (its .bim/.fam or .pvar/.psam beside it), VCF, BCF, VCF Zarr, BGEN, GEN or a text
    matrix of 0, 1, 2; several files with the same samples, or a pattern such as "chr{1:22}.bgen". The first variants
    are printed with the allele that is counted.
    """
    import conversion

    options: dict[str, Any] = {
        "split_multiallelic": split_multiallelic,
        "dosages": {"auto": "auto", "yes": True, "no": False}[dosages],
        "half_calls": half_calls,
        "dosage_bits": int(dosage_bits),
        "hard_calls": hard_calls,
        "genome": genome,
        "compression": compression,
        "id_style": id_style,
        "dry_run": dry_run,
        "force": settings.force,
        "resume": settings.resume,
        **pick_given(
            {
                "format": file_format,
                "sample_file": sample_file,
                "ref": ref,
                "chunk_mb": chunk_mb,
                "hard_call_threshold": hard_call_threshold,
                "default_contig": default_contig,
                "variant_file": variant_file,
            }
        ),
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
