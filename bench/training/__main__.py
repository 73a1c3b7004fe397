"""How fast the trainer's loop is beside the loops one writes by hand, and what watching over it costs.

.venv/bin/python -m bench.training [--quick]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from bench.training import floor
from rich.console import Console
from rich.table import Table
from torch import optim

import tuning_client
from tuning_client import Trial
from tuning_trainer import models
from tuning_trainer.checkpoint import CheckpointFile
from tuning_trainer.data import Fold, load_search
from tuning_trainer.data.sources import Batch, Resident
from tuning_trainer.measures import Measures
from tuning_trainer.session import Session
from tuning_trainer.settings import Settings
from tuning_trainer.train import fit, new_state

TARGET = 0.97

# Of this thread, which never waits: on a machine that does other things too, the clock on the wall measures those.
seconds = time.thread_time


@dataclass(frozen=True)
class Case:
    """A training that is measured. The epochs are those of one repetition, about half a second."""

    name: str
    settings: Settings

    @property
    def metric(self) -> str:
        """The study's objective."""
        return "val_rmse" if self.settings.dataset == "diabetes" else "val_accuracy"


def case(name: str, **settings: Any) -> Case:
    return Case(name, Settings(progress="none", device="cpu", **settings))


CASES = (
    case("digits, mlp 64 (the defaults)", epochs=60),
    case("digits, mlp 64, batches of 16", epochs=20, batch_size=16),
    case("digits, mlp 3 x 256", epochs=20, layers=3, hidden_units=256),
    case("digits, cnn 16", epochs=1, model="cnn", hidden_units=16),
    case("digits, transformer 32", epochs=1, model="transformer", hidden_units=32),
    case("breast_cancer, mlp 64", epochs=150, dataset="breast_cancer"),
    case("diabetes, mlp 64", epochs=200, dataset="diabetes"),
)


@contextmanager
def trial(metric: str, folder: Path | None = None) -> Iterator[Trial]:
    """A trial of a study; with a folder it keeps checkpoints."""
    told = {"TUNING_TRIAL": "1", "TUNING_METRIC": metric, "TUNING_CHECKPOINT_DIR": str(folder) if folder else ""}
    with mock.patch.dict(os.environ, told):
        running = tuning_client.trial()
    try:
        yield running
    finally:
        running.close()


def resident(fold: Fold) -> tuple[Batch, Batch]:
    training, validation = fold.training, fold.validation
    assert isinstance(training, Resident)
    assert isinstance(validation, Resident)
    return training.rows, validation.rows


def ours(measured: Case, fold: Fold) -> float:
    """Seconds of a training with all that a study sees of it."""
    with trial(measured.metric) as running, Session(running, measured.settings) as session:
        started = seconds()
        fit(session, measured.settings, fold, validation=fold.validation)
        return seconds() - started


def by_hand(measured: Case, fold: Fold, epoch: Callable[..., None], *, fused: bool) -> float:
    """Seconds of as many epochs of a loop by hand."""
    settings, rows = measured.settings, resident(fold)
    started = seconds()
    torch.manual_seed(0)
    model = models.build(settings, fold.problem)
    optimizer = optim.Adam(model.parameters(), lr=settings.learning_rate, fused=fused)
    for _ in range(settings.epochs):
        epoch(model, optimizer, fold.problem, rows=rows, batch_size=settings.batch_size)
    return seconds() - started


def paired(one: Callable[[], float], other: Callable[[], float], *, repetitions: int) -> list[tuple[float, float]]:
    """Seconds of both, one right after the other, the first of each pair in turn."""
    one(), other()
    pairs = []
    for number in range(repetitions):
        if number % 2:
            pairs.append((one(), other()))
        else:
            second = other()
            pairs.append((one(), second))
    return pairs


def ratio(pairs: list[tuple[float, float]]) -> str:
    """Median of second / first, and its middle half: above 1, the first is faster."""
    ratios = [second / first for first, second in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def speed(console: Console, cases: Iterable[Case], *, repetitions: int) -> None:
    table = Table(title="Samples per second: the trainer's loop, with validation, measures and reports, beside loops by hand")
    for column in ("", "ours", "bare", "ours / bare", "DataLoader", "ours / DataLoader"):
        table.add_column(column, justify="right" if column else "left")
    for measured in cases:
        fold = load_search(measured.settings).fold(0, torch.device("cpu"))
        samples = len(fold.training) * measured.settings.epochs

        mine = partial(ours, measured, fold)
        bare = partial(by_hand, measured, fold, floor.bare, fused=True)
        loader = partial(by_hand, measured, fold, floor.data_loader, fused=False)
        beside_bare = paired(mine, bare, repetitions=repetitions)
        beside_loader = paired(mine, loader, repetitions=max(4, repetitions // 3))
        table.add_row(
            measured.name,
            f"{samples / statistics.median(first for first, _ in beside_bare):,.0f}",
            f"{samples / statistics.median(second for _, second in beside_bare):,.0f}",
            ratio(beside_bare),
            f"{samples / statistics.median(second for _, second in beside_loader):,.0f}",
            ratio(beside_loader),
        )
    console.print(table)


def nothing(*_: object, **__: object) -> None:
    return None


WITHOUT: dict[str, tuple[tuple[type, str], ...]] = {
    "measures": ((Measures, "after_backward"), (Measures, "after_step"), (Measures, "_note")),
    "reports": ((Session, "_report"),),
}


def without(left_out: Iterable[tuple[type, str]], measured: Case, fold: Fold) -> float:
    """Seconds of a training that leaves these methods out."""
    with ExitStack() as patches:
        for owner, name in left_out:
            substitute = (lambda *_: nothing) if name == "_note" else nothing
            patches.enter_context(mock.patch.object(owner, name, substitute))
        return ours(measured, fold)


def overhead(console: Console, cases: Iterable[Case], *, repetitions: int) -> None:
    table = Table(title="What watching over a training costs, as a share of its time (aim: 2 %)")
    for column in ("", *WITHOUT, "one checkpoint, ms", "a checkpoint every 10 s"):
        table.add_column(column, justify="right" if column else "left")
    for measured in cases:
        fold = load_search(measured.settings).fold(0, torch.device("cpu"))
        shares = []
        for left_out in WITHOUT.values():
            pairs = paired(partial(ours, measured, fold), partial(without, left_out, measured, fold), repetitions=repetitions)
            shares.append(f"{statistics.median(1 - second / first for first, second in pairs):.1%}")
        save = seconds_of_a_save(measured, fold)
        pace = Settings().checkpoint_seconds
        table.add_row(measured.name, *shares, f"{save * 1e3:.1f}", f"{save / (pace + save):.2%}")
    console.print(table)


def seconds_of_a_save(measured: Case, fold: Fold, saves: int = 20) -> float:
    """Median, onto this machine's disk, with the fsync of file and folder."""
    with tempfile.TemporaryDirectory(dir=".") as folder, trial(measured.metric, Path(folder)) as running:
        session = Session(running, measured.settings)
        state = new_state(session, measured.settings, fold, validated=True, fold=0)
        file = CheckpointFile(Path(folder) / "state", training={})
        each = []
        for _ in range(saves):
            started = time.perf_counter()
            file.save({"state": state.state_dict()})
            each.append(time.perf_counter() - started)
        return statistics.median(each)


def until_good(console: Console, seeds: int) -> None:
    settings = Settings(epochs=200, progress="none", device="cpu")
    fold = load_search(settings).fold(0, torch.device("cpu"))
    found: list[tuple[float, int]] = []
    for seed in range(seeds):
        with trial("val_accuracy") as running:
            started = seconds()
            first: list[tuple[float, int]] = []

            def note(
                step: int, *_: object, since: float = started, reached: list[tuple[float, int]] = first, **metrics: Any
            ) -> None:
                if metrics["val_accuracy"] >= TARGET and not reached:
                    reached.append((seconds() - since, step))

            with (
                mock.patch.object(running, "report", note),
                mock.patch.object(Trial, "seed", seed),
                Session(running, settings) as session,
            ):
                fit(session, settings, fold, validation=fold.validation)
            found += first
    took, epochs = ([reached[place] for reached in found] for place in (0, 1))
    console.print(
        f"Digits at the defaults, with more epochs: {len(found)} of {seeds} seeds reach {TARGET:.0%} of the validation rows,"
        f" after {statistics.median(epochs):.0f} epochs and {statistics.median(took):.2f} s (medians; slowest {max(took):.2f} s)."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.training", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few repetitions, to see that all of it works")
    parser.add_argument("--only", default="", metavar="TEXT", help="the trainings whose name has it")
    arguments = parser.parse_args()
    quick, cases = arguments.quick, [measured for measured in CASES if arguments.only in measured.name]
    torch.set_num_threads(1)
    console = Console(width=150)
    console.print(
        f"torch {torch.__version__}, one thread of {os.cpu_count()} CPUs, in seconds of that CPU;"
        f" load before {os.getloadavg()[0]:.2f}; ratios are medians of pairs, with their middle half"
    )
    speed(console, cases, repetitions=4 if quick else 20)
    overhead(console, [measured for measured in cases if measured in CASES[:4]], repetitions=4 if quick else 20)
    until_good(console, 3 if quick else 10)


if __name__ == "__main__":
    main()
