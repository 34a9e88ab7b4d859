"""daskgen verify: read a store again and compare it with its checksums."""

from __future__ import annotations

import time

import click

from daskgen.cli.failures import INPUT
from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run, format_seconds

__all__ = ["command"]


@click.command("verify", epilog=example("daskgen verify cohort.zarr"))
@click.argument("store", nargs=-1, required=True)
@settings_options()
def command(store: tuple[str, ...], settings: Settings) -> None:
    """Read a store again: schema, completeness, and every chunk against its checksum.

    The exit code is 3 if anything is wrong; each problem is one line that names array and chunk.
    """
    from daskgen.limits import format_bytes
    from daskgen.stores.location import Location
    from daskgen.stores.verify import verify

    with Run("verify", settings, computes=False) as run:
        damaged = False
        for path in store:
            started = time.monotonic()
            problems = verify(path)
            if problems:
                damaged = True
                run.say(f"{path}: {len(problems):,} problem{'s' if len(problems) > 1 else ''}")
                for problem in problems:
                    run.say(f"  {problem}")
            else:
                size = format_bytes(Location.of(path).size())
                run.say(f"{path}: whole, {size} read in {format_seconds(time.monotonic() - started)}")
        if damaged:
            raise click.exceptions.Exit(INPUT)
