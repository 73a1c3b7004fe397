"""What `tuning` offers. Each command's work is in a module of its own; here are its words and its exit codes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from tuning_operator.api.manifest import load_file
from tuning_operator.api.problems import ManifestError
from tuning_operator.cli.directory import DirectoryInUseError
from tuning_operator.cli.lr_range import RangeTestFailed, suggest_range
from tuning_operator.cli.replay import NothingToReplayError, replay_directory
from tuning_operator.cli.run import ExitCode, run_study
from tuning_operator.report import ReportFailed
from tuning_operator.store.errors import StoreError

if TYPE_CHECKING:
    from tuning_operator.cli.remote import RemoteStudy

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


@main.command("lr-range")
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Default: lr-range/NAME.")
def lr_range(manifest: Path, output: Path | None) -> None:
    """Find the learning rates that the study MANIFEST should search, in one short training on this machine.

    Prints them as lines for the manifest and draws the loss by learning rate into lr_range.html.
    """
    try:
        study = load_file(manifest)
        suggest_range(study, output or Path("lr-range") / study.metadata.name, console=Console())
    except RangeTestFailed as error:
        click.echo(str(error), err=True)
        sys.exit(ExitCode.FAILED)
    except _REFUSALS as error:
        _refuse(error)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(ExitCode.INTERRUPTED)


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


def _of_a_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """What says which study of which cluster."""
    options = (
        click.argument("study"),
        click.option("-n", "--namespace", help="Of the study. Default: that of the kubeconfig's context."),
        click.option("--context", help="Of the kubeconfig. Default: the current one."),
        click.option("--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="Default: as for kubectl."),
        click.option("--operator-namespace", default="tuning-system", show_default=True, help="Where the operator runs."),
        click.option("--token", envvar="TUNING_TOKEN", show_envvar=True, help="For the operator, instead of the kubeconfig's."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@_of_a_cluster
@click.option("--once", is_flag=True, help="Show how it is now, and end.")
def watch(*, once: bool, **which: Any) -> None:
    """Show the study STUDY of a cluster until it is finished.

    Ends with 0 when it succeeded and 1 when it failed; with --once also with 0 while it goes on, and 3 while it is halted.
    """
    from tuning_operator.cli.cluster import ClusterError  # noqa: PLC0415 - loading the Kubernetes client takes a second
    from tuning_operator.cli.watch import watch_study  # noqa: PLC0415

    code = ExitCode.REFUSED
    try:
        code = watch_study(_remote(**which), once=once, console=Console())
    except ClusterError as error:
        _refuse(error)
    except KeyboardInterrupt:
        click.echo("Interrupted; the study goes on in its cluster.", err=True)
        code = ExitCode.INTERRUPTED
    sys.exit(code)


@main.command()
@_of_a_cluster
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Default: reports/NAMESPACE/STUDY.")
@click.option("--uid", default="", help="Of an earlier study of that name, or its first characters.")
def report(*, output: Path | None, uid: str, **which: Any) -> None:
    """Write the report of the study STUDY of a cluster, finished or not."""
    from tuning_operator.cli.cluster import ClusterError  # noqa: PLC0415 - loading the Kubernetes client takes a second
    from tuning_operator.cli.report import report_study  # noqa: PLC0415

    try:
        remote = _remote(**which)
        place = output or Path("reports") / remote.namespace / remote.name
        asyncio.run(report_study(remote, place, uid=uid, console=Console()))
    except (ClusterError, ReportFailed, OSError) as error:
        _refuse(error)


def _remote(
    *, study: str, namespace: str | None, context: str | None, kubeconfig: Path | None, operator_namespace: str, token: str | None
) -> RemoteStudy:
    from tuning_operator.cli.cluster import Cluster  # noqa: PLC0415 - loading the Kubernetes client takes a second
    from tuning_operator.cli.remote import RemoteStudy  # noqa: PLC0415

    cluster = Cluster.connect(kubeconfig=kubeconfig, context=context)
    return RemoteStudy(
        cluster=cluster,
        namespace=namespace or cluster.namespace,
        name=study,
        operator_namespace=operator_namespace,
        token=token,
    )


def _refuse(error: Exception) -> None:
    if isinstance(error, OSError) and error.filename is not None:
        click.echo(f"{error.filename}: {error.strerror}; mend that, or choose another place", err=True)
    else:
        click.echo(str(error), err=True)
    sys.exit(ExitCode.REFUSED)
