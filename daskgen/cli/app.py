"""The tree of commands. A command's module is imported when the command (or the help that lists it) is asked for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import click

from daskgen import __version__
from daskgen.cli import failures

__all__ = ["daskgen", "invoke"]

Tree = Mapping[str, "str | tuple[str, Tree]"]

# Command -> module that defines `command`; a group -> its help and its own table. Listed in the order of use.
COMMANDS: Tree = {
    "demo": "daskgen.cli.demo",
    "convert": (
        "Convert files to a Zarr store.",
        {
            "genotypes": "daskgen.cli.convert_genotypes",
            "munge": "daskgen.cli.convert_munge",
            "sumstats": "daskgen.cli.convert_sumstats",
            "ld-scores": "daskgen.cli.convert_ld_scores",
            "covstruct": "daskgen.cli.convert_covstruct",
            "cells": "daskgen.cli.convert_cells",
        },
    ),
    "info": "daskgen.cli.info",
    "verify": "daskgen.cli.verify",
    "export": (
        "Write a store in the form that other tools read.",
        {
            "tsv": "daskgen.cli.export_tsv",
            "bed": "daskgen.cli.export_bed",
            "covstruct": "daskgen.cli.export_covstruct",
            "vcf-zarr": "daskgen.cli.export_vcf_zarr",
            "h5ad": "daskgen.cli.export_h5ad",
        },
    ),
    "variant-stats": "daskgen.cli.variant_stats",
    "sample-stats": "daskgen.cli.sample_stats",
    "pca": "daskgen.cli.pca",
    "reml": "daskgen.cli.reml",
    "he": "daskgen.cli.he",
    "rg": "daskgen.cli.rg",
    "predict": "daskgen.cli.predict",
    "reml-gwas": "daskgen.cli.reml_gwas",
    "ldsc": "daskgen.cli.ldsc",
    "ld-scores": "daskgen.cli.ld_scores",
    "sem": (
        "Fit structural equation models to genetic covariances.",
        {
            "usermodel": "daskgen.cli.sem_usermodel",
            "commonfactor": "daskgen.cli.sem_commonfactor",
            "user-gwas": "daskgen.cli.sem_user_gwas",
            "commonfactor-gwas": "daskgen.cli.sem_commonfactor_gwas",
            "efa": "daskgen.cli.sem_efa",
        },
    ),
    "plot": (
        "Draw a figure of a result.",
        {
            "manhattan": "daskgen.cli.plot_manhattan",
            "qq": "daskgen.cli.plot_qq",
            "trace": "daskgen.cli.plot_trace",
            "heatmap": "daskgen.cli.plot_heatmap",
            "components": "daskgen.cli.plot_components",
            "cell-quality": "daskgen.cli.plot_cell_quality",
            "gene-sets": "daskgen.cli.plot_gene_sets",
        },
    ),
    "report": "daskgen.cli.report",
    "bayes": "daskgen.cli.bayes",
    "cells": "daskgen.cli.cells",
    "simulate": (
        "Make data with known truth, of any size.",
        {
            "genotypes": "daskgen.cli.simulate_genotypes",
            "sumstats": "daskgen.cli.simulate_sumstats",
            "cells": "daskgen.cli.simulate_cells",
        },
    ),
    "doctor": "daskgen.cli.doctor",
}


class LazyGroup(click.Group):
    """A group whose commands are named in a table and imported on demand."""

    def __init__(self, tree: Tree, **attributes: Any):
        super().__init__(**attributes)
        self.tree = tree

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which they are used rather than by alphabet."""
        return list(self.tree)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None if there is none."""
        entry = self.tree.get(cmd_name)
        if entry is None:
            return None
        if isinstance(entry, str):
            command: click.Command = importlib.import_module(entry).command
            return command
        text, tree = entry
        return LazyGroup(tree, name=cmd_name, help=text)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but an unknown command is answered with the nearest one."""
        if args and args[0] not in self.tree and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.tree, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"there is no command {args[0]!r}.{hint} The commands are: {', '.join(self.tree)}.")
        return super().resolve_command(ctx, args)


daskgen = LazyGroup(
    COMMANDS,
    name="daskgen",
    help="Statistical genomics on data that does not fit in memory.",
    epilog="Example:  daskgen demo --out demo",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
click.version_option(__version__, message="daskgen %(version)s")(daskgen)


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    0 done, 2 usage, 3 input, 4 did not converge (results kept), 5 interrupted and resumable, 1 anything else.
    """
    arguments = list(arguments)
    try:
        result = daskgen.main(args=arguments, prog_name="daskgen", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help_shown:
        click.echo(help_shown.format_message())
        return 0
    except click.ClickException as error:
        return failures.show_usage_error(error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return failures.UNEXPECTED
    except BrokenPipeError:
        # The reader of our output (`daskgen info x.zarr | head`) has seen enough.
        failures.close_standard_output()
        return 0
    except Exception as error:
        return failures.show(error, verbose=bool({"-v", "-vv", "--verbose"} & set(arguments)))
    return result if isinstance(result, int) else 0
