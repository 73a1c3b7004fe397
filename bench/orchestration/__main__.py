"""How fast trials follow one another on Kubernetes, and what that costs: `python -m bench.orchestration`.

A real API server with etcd and its audit log, a real PostgreSQL, and the operator as the process that is deployed. Pods do not
run: a simulated kubelet, a process of its own, ends them. Every figure stands beside that of a bare client on the same machine
in the same minutes. etcd and PostgreSQL do not wait for the disk. bench/README.md says how to read the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.orchestration import scenarios
from bench.orchestration.figures import Figures
from bench.orchestration.run import run
from bench.orchestration.stand import Stand, running_stand
from bench.orchestration.tables import line, show
from rich.console import Console

_WIDTH = 150


def measure(chosen: Iterable[scenarios.Scenario]) -> Iterator[Figures]:
    """Run all, those with the real Job controller on a stand of their own."""
    with ExitStack() as stack:
        stands: dict[bool, Stand] = {}
        for scenario in chosen:
            controllers = scenario.job_controller
            if controllers not in stands:
                stands[controllers] = stack.enter_context(running_stand(controllers=controllers))
            yield run(stands[controllers], scenario)


def machine() -> dict[str, Any]:
    """Where and when it was measured, and how idle that was."""
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        model = next((text.partition(":")[2].strip() for text in lines if text.startswith("model name")), platform.machine())
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "cpu": model,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few small runs")
    parser.add_argument(
        "--only",
        default="",
        metavar="WORDS",
        help="runs that all of these describe: operator, floor, random, P=10, 0-0, jobs ...",
    )
    parser.add_argument("--trials", type=int, default=10_000, help="at most so many in each study")
    parser.add_argument("--output", type=Path, default=Path("build/bench/orchestration.jsonl"))
    arguments = parser.parse_args()
    every = scenarios.quick() if arguments.quick else scenarios.full()
    chosen = [scenarios.cut(each, arguments.trials) for each in scenarios.matching(arguments.only, every)]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    runs = []
    with arguments.output.open("w", encoding="utf-8") as output:
        about = machine()
        print(json.dumps(about), file=output)
        for figures in measure(chosen):
            print(json.dumps(figures.json()), file=output, flush=True)
            print(line(figures), file=sys.stderr, flush=True)
            runs.append(figures)
    console = Console(width=_WIDTH, record=True)
    console.print(", ".join(f"{name} {value}" for name, value in about.items()))
    show(runs, console)
    arguments.output.with_suffix(".txt").write_text(console.export_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
