"""The operator's command: tuning-operator run | migrate | make-database-secret."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from pythonjsonlogger.json import JsonFormatter

from tuning_operator import process
from tuning_operator.cli.database_secret import make_database_secret
from tuning_operator.controller.shares import Limits
from tuning_operator.runtime.kubernetes.client import RequestRefusedError
from tuning_operator.store.errors import StoreError
from tuning_operator.store.prepare import prepare

_log = logging.getLogger(__name__)

FC = TypeVar("FC", bound=Callable[..., Any])

_PLAIN: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_FIELDS: Final = "{asctime}{levelname}{name}{message}"

_PORT: Final = click.IntRange(1, 65535)
_LEVELS: Final = ("debug", "info", "warning", "error")


def _option(name: str, *names: str, **attributes: Any) -> Callable[[FC], FC]:
    """An option that the environment may give too, as a Deployment does."""
    variable = "TUNING_OPERATOR_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, *names, envvar=variable, show_envvar=True, show_default=True, **attributes)


_DATABASE: Final = _option(
    "--database-url", required=True, help="postgresql://user:password@host/database, or sqlite:////path/to/studies.db."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Hyperparameter tuning on Kubernetes."""


@group.command("run")
@_DATABASE
@_option("--namespace", "namespaces", multiple=True, help="Look after this one only; may be repeated. All by default.")
@_option(
    "--gateway-url", required=True, help="Where trials reach the gateway, such as http://tuning-operator.tuning-system.svc:8080."
)
@_option("--gateway-port", type=_PORT, default=8080)
@_option("--monitoring-port", type=_PORT, default=8081, help="/healthz, /readyz, /metrics.")
@_option("--max-running-trials", type=click.IntRange(1), help="Of all studies together. No limit by default.")
@_option("--max-running-trials-per-namespace", type=click.IntRange(1), help="No limit by default.")
@_option(
    "--search-processes", type=click.IntRange(1, 64), default=1, help="Each holds about 600 MiB once it fits a Gaussian process."
)
@_option("--log-format", type=click.Choice(["plain", "json"]), default="plain")
@_option("--log-level", type=click.Choice(_LEVELS), default="info")
def run(
    *,
    max_running_trials: int | None,
    max_running_trials_per_namespace: int | None,
    log_format: str,
    log_level: str,
    **chosen: Any,
) -> None:
    """Look after the studies of a cluster."""
    _log_to_stderr(log_format, log_level)
    limits = Limits(total=max_running_trials, per_namespace=max_running_trials_per_namespace)
    try:
        asyncio.run(process.run(process.Options(limits=limits, **chosen)))
    except* (StoreError, RequestRefusedError, OSError) as errors:
        for error in errors.exceptions:
            _log.critical("%s", error)
        sys.exit(1)


@group.command("migrate")
@_DATABASE
def migrate(database_url: str) -> None:
    """Bring the database's tables up to date, as `run` does when it starts."""
    try:
        prepare(database_url)
    except StoreError as error:
        raise click.ClickException(str(error)) from error
    click.echo("The database is up to date.")


group.add_command(make_database_secret)


def _log_to_stderr(log_format: str, level: str) -> None:
    handler = logging.StreamHandler()
    json = JsonFormatter(_FIELDS, style="{", rename_fields={"asctime": "time", "levelname": "level"})
    handler.setFormatter(json if log_format == "json" else logging.Formatter(_PLAIN))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # kopf tells of every event that it has handled it.
    logging.getLogger("kopf").setLevel(logging.WARNING)


def main() -> None:
    """The console script."""
    group()
