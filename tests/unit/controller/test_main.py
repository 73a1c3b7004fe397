"""The operator's command: what a Deployment sets, and what it is told when that is wrong."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kubernetes.aio.config import ConfigException

from tuning_operator import main, process
from tuning_operator.controller.shares import Limits
from tuning_operator.runtime.kubernetes.client import RequestRefusedError
from tuning_operator.store.errors import DatabaseUnavailableError, ForeignWriteError
from tuning_operator.store.prepare import prepare

URL = "postgresql+psycopg://tuning:secret@postgres:5432/tuning"
GATEWAY = "http://tuning-operator.tuning-system.svc:8080"
NEEDED = {"TUNING_OPERATOR_DATABASE_URL": URL, "TUNING_OPERATOR_GATEWAY_URL": GATEWAY}


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, kopf = logging.getLogger(), logging.getLogger("kopf")
    handlers, level, of_kopf = root.handlers[:], root.level, kopf.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    kopf.setLevel(of_kopf)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[process.Options]:
    """With what options the operator was started."""
    started: list[process.Options] = []

    async def run(options: process.Options) -> None:
        started.append(options)

    monkeypatch.setattr(process, "run", run)
    return started


def invoke(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    unset: dict[str, str | None] = dict.fromkeys(NEEDED)
    return CliRunner().invoke(main.group, arguments, env=unset | (environment or {}), prog_name="tuning-operator")


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Result:
    async def run(_options: process.Options) -> None:
        raise error

    monkeypatch.setattr(process, "run", run)
    return invoke("run", environment=NEEDED)


# Options


def test_a_deployment_sets_everything_by_the_environment(started: list[process.Options]) -> None:
    environment = NEEDED | {
        "TUNING_OPERATOR_NAMESPACE": "research teaching",
        "TUNING_OPERATOR_GATEWAY_PORT": "9080",
        "TUNING_OPERATOR_MONITORING_PORT": "9081",
        "TUNING_OPERATOR_MAX_RUNNING_TRIALS": "64",
        "TUNING_OPERATOR_MAX_RUNNING_TRIALS_PER_NAMESPACE": "16",
        "TUNING_OPERATOR_SEARCH_PROCESSES": "2",
        "TUNING_OPERATOR_LOG_FORMAT": "json",
        "TUNING_OPERATOR_LOG_LEVEL": "debug",
    }
    assert invoke("run", environment=environment).exit_code == 0
    assert started == [
        process.Options(
            database_url=URL,
            gateway_url=GATEWAY,
            gateway_port=9080,
            monitoring_port=9081,
            namespaces=("research", "teaching"),
            limits=Limits(total=64, per_namespace=16),
            search_processes=2,
        )
    ]


def test_options_go_before_the_environment(started: list[process.Options]) -> None:
    options = ("--namespace=research", "--namespace", "teaching", "--gateway-port=9080")
    environment = NEEDED | {"TUNING_OPERATOR_NAMESPACE": "elsewhere", "TUNING_OPERATOR_GATEWAY_PORT": "1"}
    assert invoke("run", *options, environment=environment).exit_code == 0
    assert (started[0].namespaces, started[0].gateway_port) == (("research", "teaching"), 9080)


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({}, id="nothing else is set"),
        pytest.param({"TUNING_OPERATOR_NAMESPACE": "", "TUNING_OPERATOR_MAX_RUNNING_TRIALS": ""}, id="or set to nothing"),
    ],
)
def test_two_addresses_are_enough(started: list[process.Options], environment: dict[str, str]) -> None:
    assert invoke("run", environment=NEEDED | environment).exit_code == 0
    assert started == [process.Options(database_url=URL, gateway_url=GATEWAY)]
    assert (started[0].gateway_port, started[0].monitoring_port) == (8080, 8081)
    assert (started[0].namespaces, started[0].limits, started[0].search_processes) == ((), Limits(), 1)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("NAMESPACE", "research,teaching", "'research,teaching' is not the name of a namespace"),
        ("NAMESPACE", "Research", "'Research' is not the name of a namespace"),
        ("NAMESPACE", "x" * 64, "is not the name of a namespace"),
        ("GATEWAY_URL", "tuning-operator:8080", "'tuning-operator:8080' is not a URL; write it in full"),
        ("GATEWAY_URL", "http://", "'http://' is not a URL"),
        ("GATEWAY_URL", "http://tuning-operator:port", "'http://tuning-operator:port' is not a URL"),
        ("GATEWAY_PORT", "0", "0 is not in the range 1<=x<=65535"),
        ("MONITORING_PORT", "http", "'http' is not a valid integer range"),
        ("MAX_RUNNING_TRIALS", "0", "0 is not in the range x>=1"),
        ("MAX_RUNNING_TRIALS_PER_NAMESPACE", "-1", "-1 is not in the range x>=1"),
        ("SEARCH_PROCESSES", "65", "65 is not in the range 1<=x<=64"),
        ("LOG_FORMAT", "xml", "'xml' is not one of 'plain', 'json'"),
        ("LOG_LEVEL", "loud", "'loud' is not one of 'debug', 'info', 'warning', 'error'"),
        (
            "DATABASE_URL",
            "mysql://tuning:secret@host/db",
            "the database URL names mysql, which is not supported; write postgresql://",
        ),
        ("DATABASE_URL", "postgresql://tuning:secret@host:secret/db", "the database URL cannot be read; write postgresql://"),
        ("DATABASE_URL", "secret", "the database URL cannot be read; write postgresql://"),
    ],
)
def test_a_wrong_value_is_refused_with_its_option_its_variable_and_a_remedy(
    started: list[process.Options], name: str, value: str, words: str
) -> None:
    result = invoke("run", environment=NEEDED | {f"TUNING_OPERATOR_{name}": value})
    said = " ".join(result.stderr.replace("│", "").split())
    assert result.exit_code == 2
    assert f"'--{name.lower().replace('_', '-')}' (env var: 'TUNING_OPERATOR_{name}')" in said
    assert words in said
    assert "secret" not in said
    assert started == []


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_needed_and_missing_is_named(started: list[process.Options], name: str) -> None:
    result = invoke("run", environment={other: value for other, value in NEEDED.items() if other != name})
    assert result.exit_code == 2
    assert f"Missing option '--{name.removeprefix('TUNING_OPERATOR_').lower().replace('_', '-')}'" in result.stderr
    assert started == []


def test_every_option_tells_its_variable() -> None:
    text = invoke("run", "--help").output
    options = [parameter for parameter in main.run.params if parameter.name != "help"]
    assert len(options) >= 10
    for parameter in options:
        assert parameter.envvar == "TUNING_OPERATOR_" + parameter.opts[0].removeprefix("--").replace("-", "_").upper()
        assert str(parameter.envvar) in text.replace("\n", "").replace(" ", "")


def test_the_help_names_every_sub_command() -> None:
    text = invoke("--help").output
    assert all(name in text for name in ("run", "migrate", "make-database-secret"))


# What goes wrong later


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ForeignWriteError("research/digits", (3,), "added"), id="the database is not one of ours"),
        pytest.param(RequestRefusedError("studies is forbidden", code=403, reason="Forbidden"), id="a permission is missing"),
        pytest.param(OSError(98, "address already in use"), id="a port is taken"),
        pytest.param(ConfigException("no kubeconfig"), id="there is no cluster"),
        pytest.param(
            ExceptionGroup("tasks", [ExceptionGroup("tasks", [OSError(98, "address already in use")])]), id="in a task of a task"
        ),
    ],
)
def test_what_waiting_does_not_mend_ends_the_operator_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    result = failing(monkeypatch, error)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    [line] = [line for line in result.stderr.splitlines() if line]
    cause = error
    while isinstance(cause, BaseExceptionGroup):
        [cause] = cause.exceptions
    assert line.endswith(f"CRITICAL tuning_operator.main: {cause}")


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    result = failing(monkeypatch, ExceptionGroup("tasks", [ZeroDivisionError("a fault")]))
    assert result.exit_code == 1
    assert isinstance(result.exception, ExceptionGroup)


# Logs


@pytest.mark.parametrize("form", ["plain", "json"])
def test_logs_go_to_stderr_in_the_form_that_was_chosen(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    async def run(_options: process.Options) -> None:
        logging.getLogger("tuning_operator.somewhere").warning("the %s is away", "database")
        logging.getLogger("tuning_operator.somewhere").info("not at this level")
        logging.getLogger("kopf.objects").info("Handler succeeded")

    monkeypatch.setattr(process, "run", run)
    result = invoke("run", f"--log-format={form}", "--log-level=warning", environment=NEEDED)
    [line] = result.stderr.splitlines()
    assert result.stdout == ""
    if form == "plain":
        assert line.endswith("WARNING tuning_operator.somewhere: the database is away")
    else:
        said: dict[str, Any] = json.loads(line)
        assert said.pop("time")
        assert said == {"level": "WARNING", "name": "tuning_operator.somewhere", "message": "the database is away"}


# migrate


def test_migrate_makes_a_database_current_and_may_be_repeated(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    for _ in range(2):
        result = invoke("migrate", environment={"TUNING_OPERATOR_DATABASE_URL": url})
        assert (result.exit_code, result.output) == (0, "The database is up to date.\n")
    prepare(url)


def test_migrate_says_what_is_wrong_with_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_url: str) -> None:
        raise DatabaseUnavailableError("the database is away")

    monkeypatch.setattr(main, "prepare", away)
    result = invoke("migrate", f"--database-url={URL}")
    assert (result.exit_code, result.stderr) == (1, "Error: the database is away\n")


def test_the_console_script_is_this_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["tuning-operator", "--help"])
    with pytest.raises(SystemExit, match="0"):
        main.main()
    assert "Hyperparameter tuning on Kubernetes." in capsys.readouterr().out
