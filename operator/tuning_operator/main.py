"""The operator's command: tuning-operator run | migrate | make-database-secret."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click
from kubernetes.aio.config import ConfigException
from pythonjsonlogger.json import JsonFormatter

from tuning_operator import process
from tuning_operator.api.study import LABEL_PATTERN
from tuning_operator.cli.database_secret import make_database_secret
from tuning_operator.controller.shares import Limits
from tuning_operator.runtime.kubernetes.client import RequestRefusedError
from tuning_operator.store import connection
from tuning_operator.store.errors import DatabaseUrlError, StoreError
from tuning_operator.store.prepare import prepare

_log = logging.getLogger(__name__)

FC = TypeVar("FC", bound=Callable[..., Any])

_PLAIN: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_FIELDS: Final = "{asctime}{levelname}{name}{message}"

_GATEWAY_URL: Final = "http://tuning-operator.tuning-system.svc:8080"
_NAMESPACE: Final = re.compile(LABEL_PATTERN)
_NAMESPACE_LENGTH: Final = 63
_PORT: Final = click.IntRange(1, 65535)
_LEVELS: Final = ("debug", "info", "warning", "error")


def _option(name: str, *names: str, **attributes: Any) -> Callable[[FC], FC]:
    """An option that the environment may give too, as a Deployment does."""
    variable = "TUNING_OPERATOR_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, *names, envvar=variable, show_envvar=True, show_default=True, **attributes)


def _namespaces(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if len(name) > _NAMESPACE_LENGTH or not _NAMESPACE.fullmatch(name):
            raise click.BadParameter(f"{name!r} is not the name of a namespace; in the environment, put spaces between names.")
    return names


def _database(_context: click.Context, _option: click.Parameter, url: str) -> str:
    try:
        connection.database_url(url)
    except DatabaseUrlError as error:
        raise click.BadParameter(f"{error}.") from None
    return url


def _url(_context: click.Context, _option: click.Parameter, url: str) -> str:
    try:
        parts = urlsplit(url)
        complete = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        complete = False
    if not complete:
        raise click.BadParameter(f"{url!r} is not a URL; write it in full, such as {_GATEWAY_URL}.")
    return url


_DATABASE: Final = _option(
    "--database-url",
    required=True,
    callback=_database,
    help="postgresql://user:password@host/database, or sqlite:////path/to/studies.db.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Hyperparameter tuning on Kubernetes."""


@group.command("run")
@_DATABASE
@_option(
    "--namespace",
    "namespaces",
    multiple=True,
    callback=_namespaces,
    help="Look after this one only; may be repeated. All by default.",
)
@_option("--gateway-url", required=True, callback=_url, help=f"Where trials reach the gateway, such as {_GATEWAY_URL}.")
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
    failed = False
    try:
        asyncio.run(process.run(process.Options(limits=limits, **chosen)))
    except* (StoreError, RequestRefusedError, ConfigException, OSError) as errors:
        failed = True
        for error in _single(errors):
            _log.critical("%s", error)
    # Not above, where it would become one of a group itself.
    if failed:
        sys.exit(1)


def _single(errors: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    """The exceptions of a group, and of the groups in it."""
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _single(error)
        else:
            yield error


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
