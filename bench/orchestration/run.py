"""One run: who replaces trials is started, left alone until the last trial has ended, and asked what it cost."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from bench.orchestration.audit import Request
from bench.orchestration.figures import Figures, Trials, calls, percentile, repetitions, trials_of
from bench.orchestration.history import fill
from bench.orchestration.manifest import study
from bench.orchestration.raw_api import MERGE_PATCH
from bench.orchestration.scenarios import Scenario
from bench.orchestration.simulated_kubelet import END, READY, USER
from bench.orchestration.stand import FLOOR_USER, Stand
from bench.orchestration.usage import Usage, search_processes, since
from prometheus_client.parser import text_string_to_metric_families
from tests.cluster.processes import Identity, Programs
from tests.integration.operator.operator_process import PATIENCE, OperatorProcess, running_operator

OPERATOR_USER: Final = "system:serviceaccount:tuning-system:tuning-operator"

_OVER: Final = frozenset(("Succeeded", "Failed"))
_POD_END: Final = ("pods/status", END)
_JOB_END: Final = ("jobs/status", "")
_LOOK_SECONDS: Final = 0.5
_LAG: Final = "tuning_operator_event_loop_lag_seconds"
_ASK: Final = "tuning_ask_duration_seconds"
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def run(stand: Stand, scenario: Scenario) -> Figures:
    """Measure one scenario in a namespace of its own."""
    namespace = stand.create_namespace()
    try:
        match scenario.who:
            case "operator":
                return _run_operator(stand, scenario, namespace)
            case "floor":
                return _run_floor(stand, scenario, namespace)
            case "simulation":
                return _run_simulation(stand, scenario, namespace)
    finally:
        stand.clear(namespace)


@dataclass
class _Meter:
    """What is read before and after."""

    stand: Stand
    namespace: str
    usage: Mapping[str, Usage]
    place: int = field(init=False)
    etcd: float = field(init=False)

    def __post_init__(self) -> None:
        self.place, self.etcd = self.stand.audit.end(), self.stand.etcd_bytes()
        self.usage = {**self.stand.usage(), **self.usage}

    def requests(self) -> list[Request]:
        """Those since the begin."""
        return list(self.stand.audit.since(self.place, namespace=self.namespace))

    def read(self, scenario: Scenario, trials: Trials, user: str, usage: Mapping[str, Usage]) -> Figures:
        """The figures of a user's run that has just ended."""
        etcd = self.stand.etcd_bytes() - self.etcd
        used = since(self.usage, {**self.stand.usage(), **usage})
        ours = calls(self.requests(), user)
        count = trials.count or math.nan
        waits = trials.turnarounds(scenario.parallelism)
        return Figures(
            scenario=scenario,
            trials=trials.count,
            repeated=repetitions(self.requests()),
            per_second=trials.count / trials.seconds,
            turnaround_ms={
                **{f"p{percent}": 1000 * percentile(waits, percent) for percent in (50, 95, 99)},
                "max": 1000 * max(waits, default=math.nan),
            },
            calls=ours.total() / count,
            writes=sum(request.writes for request in self.requests() if request.user == user) / count,
            calls_by_kind={kind: number / count for kind, number in ours.most_common()},
            etcd_kib=etcd / 1024 / count,
            cpu_ms={part: 1000 * usage.cpu / count for part, usage in used.items()},
            peak_mib={part: usage.peak / 2**20 for part, usage in used.items()},
        )


# The operator


def _run_operator(stand: Stand, scenario: Scenario, namespace: str) -> Figures:
    url = stand.postgres.url(stand.postgres.create_database())
    path = f"/apis/tuningstudy.dev/v1alpha1/namespaces/{namespace}/tuningstudies"
    # They are there, with their history, before it is measured.
    names = [f"study{number:02}" for number in range(scenario.studies)]
    for name in names:
        created = stand.server.request("POST", path, study(name, scenario, suspend=True))
        if scenario.finished_before:
            fill(url, stand.server, created, scenario.finished_before)
    with (
        _folder(stand) as folder,
        _simulation(stand, scenario, namespace, folder) as node,
        running_operator(stand.server, folder, url, f"--namespace={namespace}") as operator,
    ):
        pid = Identity.read(folder / "operator.pid").pid
        _wait_for_phases(stand, path, frozenset(("Suspended",)), seconds=PATIENCE)
        meter = _Meter(stand, namespace, {**node(), **_usage_of_operator(pid)})
        for name in names:
            stand.server.request("PATCH", f"{path}/{name}", {"spec": {"suspend": False}}, content_type=MERGE_PATCH)
        _wait_for_phases(stand, path, _OVER, seconds=scenario.seconds)
        metrics = _metrics(operator)
        trials = trials_of(meter.requests(), ender=USER, end=_POD_END)
        figures = meter.read(scenario, trials, OPERATOR_USER, {**node(), **_usage_of_operator(pid)})
    asked = metrics.get(f"{_ASK}_count", 0.0)
    ask_ms = 1000 * metrics[f"{_ASK}_sum"] / asked if asked else math.nan
    return replace(figures, loop_lag_ms=1000 * metrics[_LAG], ask_ms=ask_ms, metrics=metrics)


def _usage_of_operator(pid: int) -> dict[str, Usage]:
    return {"operator": Usage.of(pid), "search": Usage.together(search_processes(pid))}


def _wait_for_phases(stand: Stand, path: str, phases: frozenset[str], *, seconds: float) -> None:
    """Wait until all studies have come to one of these phases, or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        if {item.get("status", {}).get("phase") for item in stand.server.request("GET", path)["items"]} <= phases:
            break


def _metrics(operator: OperatorProcess) -> dict[str, float]:
    """Sums over all labels, without buckets."""
    with _DIRECT.open(f"{operator.monitoring}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith(("_bucket", "_created")):
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


# The floor, and the simulated side alone


def _run_floor(stand: Stand, scenario: Scenario, namespace: str) -> Figures:
    with _folder(stand) as folder, _simulation(stand, scenario, namespace, folder) as node:
        meter = _Meter(stand, namespace, node())
        client = _bare_client(stand, scenario, namespace)
        trials = trials_of(meter.requests(), ender=USER, end=_JOB_END)
        return meter.read(scenario, trials, FLOOR_USER, {**node(), "client": client})


def _run_simulation(stand: Stand, scenario: Scenario, namespace: str) -> Figures:
    _bare_client(stand, scenario, namespace, "--leave")
    with _folder(stand) as folder, _simulation(stand, scenario, namespace, folder) as node:
        meter = _Meter(stand, namespace, node())
        deadline = time.monotonic() + scenario.seconds
        trials = Trials(ends={}, creations={})
        while trials.count < scenario.trials and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            trials = trials_of(meter.requests(), ender=USER, end=_JOB_END)
        # From its first end on: before that, it starts.
        trials = Trials(ends=trials.ends, creations={name: [min(ends)] for name, ends in trials.ends.items()})
        return meter.read(scenario, trials, USER, node())


def _bare_client(stand: Stand, scenario: Scenario, namespace: str, *options: str) -> Usage:
    command: list[Any] = [sys.executable, "-m", "bench.orchestration.floor", f"--kubeconfig={stand.floor}"]
    command += [f"--namespace={namespace}", f"--parallelism={scenario.parallelism}", f"--trials={scenario.trials}", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=scenario.seconds)
    except subprocess.TimeoutExpired:
        return Usage(math.nan, 0)
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"the bare client failed: {error.stderr}") from error
    return Usage(**json.loads(done.stdout))


# Who ends trials


@contextmanager
def _simulation(stand: Stand, scenario: Scenario, namespace: str, folder: Path) -> Iterator[Any]:
    """A simulated kubelet that runs. Gives what reads its usage."""
    folder = folder / "node"
    folder.mkdir()
    programs = Programs(folder)
    command: list[Any] = [sys.executable, "-m", "bench.orchestration.simulated_kubelet", f"--kubeconfig={stand.simulated}"]
    command += [f"--namespace={namespace}", f"--pace={scenario.pace}"]
    command += ["--job-controller"] if scenario.job_controller else []
    programs.start(USER, command)
    log = folder / f"{USER}.log"
    try:
        programs.wait(USER, lambda: READY in log.read_text(encoding="utf-8"), seconds=PATIENCE)
        yield lambda: {"simulated": Usage.of(programs.pid(USER))}
        if not programs.runs(USER):
            raise RuntimeError(f"the simulated kubelet ended: {log.read_text(encoding='utf-8')}")
    finally:
        programs.stop()


@contextmanager
def _folder(stand: Stand) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=stand.folder) as name:
        yield Path(name)
