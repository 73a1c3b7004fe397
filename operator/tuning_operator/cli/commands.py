"""What `tuning` offers. Each command's work is in a module of its own; here are its words and its exit codes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
from rich.console import Console

from tuning_operator.api.manifest import load_file
from tuning_operator.api.problems import ManifestError
from tuning_operator.cli.directory import DirectoryInUseError
from tuning_operator.cli.replay import NothingToReplayError, replay_directory
from tuning_operator.cli.run import ExitCode, run_study
from tuning_operator.store.errors import StoreError

_REFUSALS = (ManifestError, StoreError, DirectoryInUseError, NothingToReplayError, OSError)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tuning-operator")
def main() -> None:
    """Tune hyperparameters, and compare the best ones honestly with the defaults."""


@main.command()
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Directory of the study. Default: studies/NAME.")
@click.option("--parallelism", type=click.IntRange(1, 1000), help="Trials at once, instead of spec.budget.parallelism.")
def run(manifest: Path, output: Path | None, parallelism: int | None) -> None:
    """Run the study MANIFEST on this machine, each trial as a process.

    The same command goes on where an earlier one was stopped, by Ctrl-C or by a crash.
    """
    console = Console()
    root = output or Path()
    try:
        study = load_file(manifest)
        root = output or Path("studies") / study.metadata.name
        code = asyncio.run(run_study(study, root, parallelism=parallelism, console=console))
    except StoreError as error:
        _refuse(StoreError(f"{error}\nThe study's database is {root}/study.db; mend or restore it, or choose another --output."))
    except _REFUSALS as error:
        _refuse(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("Interrupted; run the same command again to go on.", err=True)
        code = ExitCode.INTERRUPTED
    sys.exit(code)


@main.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def replay(directory: Path) -> None:
    """Ask the search of DIRECTORY again, in the order of its log, and compare every parameter."""
    try:
        replayed = replay_directory(directory)
    except _REFUSALS as error:
        _refuse(error)
    if replayed.difference is not None:
        click.echo(f"Different: {replayed.difference}")
        sys.exit(ExitCode.FAILED)
    click.echo(f"Identical: all {replayed.asks} asks of the log give the same parameters again.")


def _refuse(error: Exception) -> None:
    if isinstance(error, OSError) and error.filename is not None:
        click.echo(f"{error.filename}: {error.strerror}; mend that, or choose another place", err=True)
    else:
        click.echo(str(error), err=True)
    sys.exit(ExitCode.REFUSED)
