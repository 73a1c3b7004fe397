"""The figures as tables for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from bench.orchestration.figures import Figures
from rich.console import Console
from rich.table import Table

_WIDTH = 150


def show(runs: Sequence[Figures], console: Console | None = None) -> None:
    """Print them: how fast, and at what cost."""
    console = console or Console(width=_WIDTH)
    console.print(_speed(runs))
    console.print(_cost(runs))
    if any(not run.complete for run in runs):
        console.print("* cut after its time: figures of the trials that had ended by then.")


def line(run: Figures) -> str:
    """One run in a line, as soon as it is over."""
    scenario, waits = run.scenario, run.turnaround_ms
    return (
        f"{scenario.title}, {scenario.parallelism} at once, ends {scenario.pace.title}: {run.trials} trials, "
        f"{run.per_second:.1f}/s, p50 {_number(waits['p50'])} p99 {_number(waits['p99'])} ms"
    )


def _speed(runs: Iterable[Figures]) -> Table:
    columns = ["", "at once", "trials end", "trials", "trials/s", "of floor", "p50 ms", "p95 ms", "p99 ms", "ask ms", "lag ms"]
    table = _table("From the end of a trial to the next Job", columns, left=(0, 2))
    runs = tuple(runs)
    floors = {(run.scenario.parallelism, run.scenario.pace): run.per_second for run in runs if run.scenario.who == "floor"}
    for run in runs:
        scenario, waits = run.scenario, run.turnaround_ms
        comparable = scenario.who == "operator" and scenario.studies == 1 and not scenario.job_controller
        floor = floors.get((scenario.parallelism, scenario.pace)) if comparable else None
        table.add_row(
            scenario.title,
            f"{scenario.parallelism:,}",
            scenario.pace.title,
            f"{run.trials - run.repeated:,}{f' +{run.repeated}' if run.repeated else ''}{'' if run.complete else '*'}",
            _number(run.per_second),
            f"{run.per_second / floor:.0%}" if floor else "",
            *(_number(waits[percent]) for percent in ("p50", "p95", "p99")),
            _number(run.ask_ms),
            _number(run.loop_lag_ms),
        )
    return table


def _cost(runs: Iterable[Figures]) -> Table:
    columns = [
        "",
        "at once",
        "trials end",
        "calls",
        "writes",
        "KiB",
        "main",
        "search",
        "SQL",
        "API",
        "etcd",
        "sim.",
        "main",
        "search",
    ]
    title = "Per trial: requests of ours, KiB to etcd, CPU ms of each process; in the last two columns, peak MiB of ours"
    table = _table(title, columns, left=(0, 2))
    for run in runs:
        scenario, cpu, peak = run.scenario, run.cpu_ms, run.peak_mib
        main = "client" if scenario.who == "floor" else "operator"
        table.add_row(
            scenario.title,
            f"{scenario.parallelism:,}",
            scenario.pace.title,
            _number(run.calls),
            _number(run.writes),
            _number(run.etcd_kib),
            *(_of(cpu, part) for part in (main, "search", "postgres", "api server", "etcd", "simulated")),
            _of(peak, main),
            _of(peak, "search"),
        )
    return table


def _table(title: str, columns: Sequence[str], *, left: Iterable[int]) -> Table:
    table = Table(title=title)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number in left else "right", no_wrap=number == 0)
    return table


def _of(figures: Mapping[str, float], part: str) -> str:
    return _number(figures.get(part, math.nan))


def _number(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"
