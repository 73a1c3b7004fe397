"""How often diagnoses are right: `python bench/diagnosis.py [--seeds 10] [--healthy-seeds 5] [--first-seed 200]`.

Real trainings on one core: some are made to fail in one way each, others have sensible settings. A provocation should be
diagnosed in nine of ten seeds, a healthy training in none. The table stands in docs/decisions/0048-diagnoses.md; the
thresholds were chosen on other seeds.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.provocations import HEALTHY, PROVOCATIONS, names, run

_WIDTH: Final = 160


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--healthy-seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=200)
    told = parser.parse_args()
    console = Console(width=_WIDTH)
    console.print(provoked(range(told.first_seed, told.first_seed + told.seeds)))
    console.print(healthy(range(told.first_seed, told.first_seed + told.healthy_seeds)))


def provoked(seeds: range) -> Table:
    table = Table("diagnosis", "flags", "seeds with it", "its figure, least to most", "threshold", "beside it")
    for name, flags in PROVOCATIONS.items():
        results = list(trainings(flags, seeds))
        found = [diagnosis for result in results for diagnosis in result.get("diagnoses", ()) if diagnosis["name"] == name]
        figures = sorted(float(diagnosis["figure"]) for diagnosis in found if diagnosis.get("figure") is not None)
        threshold = found[0].get("threshold") if found else None
        table.add_row(
            name,
            flags,
            f"{len(found)} of {len(seeds)}",
            f"{figures[0]:.2g} to {figures[-1]:.2g}" if figures else "",
            "" if threshold is None else f"{threshold:g}",
            counted(results, but=name),
        )
    return table


def healthy(seeds: range) -> Table:
    table = Table("healthy training", "flags", "with a diagnosis", "which")
    for name, flags in HEALTHY.items():
        results = list(trainings(flags, seeds))
        wrong = sum(bool(names(result)) for result in results)
        table.add_row(name, flags, f"{wrong} of {len(seeds)}", counted(results))
    return table


def trainings(flags: str, seeds: range) -> Iterator[dict[str, Any]]:
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            yield run(Path(folder), flags, seed=seed)


def counted(results: list[dict[str, Any]], *, but: str = "") -> str:
    counts: Mapping[str, int] = collections.Counter(name for result in results for name in names(result) if name != but)
    return ", ".join(f"{name} {count}" for name, count in counts.items())


if __name__ == "__main__":
    main()
