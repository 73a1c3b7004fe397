"""How long the study database takes, beside stock Optuna on the same server: `python bench/store.py`.

A real PostgreSQL server, reached through a Unix socket. Writes are medians of single calls into a study that already
holds 10,000 trials of five parameters; loading is the fastest of three. Stock Optuna works on a copy of the same database:
`study.ask` with random sampling, `study.tell`, `trial.report`, `study.get_trials`. The table's server does not wait for
the disk; what that adds to each commit on this machine is printed below it.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import optuna
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.postgres import PostgresServer, running_postgres
from tests.support.stored_studies import (
    ADAM,
    IDENTITY,
    OPTUNA_SPACE,
    SPACE,
    SPEC_JSON,
    complete,
    fresh_trial,
    stock_optuna,
    succeeded,
)

from tuning_operator.store import Database, ReportedPoint, prepare

TRIALS: Final = 10_000
CALLS: Final = 50
REPORTS: Final = 100
STEPPED_TRIALS: Final = 1_000
STEPS: Final = 50
LOADS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of the table, in milliseconds."""

    what: str
    ours: float
    stock: float | None  # None: it keeps no such thing
    aim: float | None = None


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def median(call: Callable[[int], object], numbers: Iterable[int]) -> float:
    return statistics.median(milliseconds(partial(call, number)) for number in numbers)


def fastest(call: Callable[[], object]) -> float:
    return min(milliseconds(call) for _ in range(LOADS))


class _Ours:
    """The store of this project."""

    def __init__(self, database: Database, name: str) -> None:
        self._ledger = database.adopt(replace(IDENTITY, uid=name), spec_json=SPEC_JSON, direction="maximize", now=0.0)

    @property
    def study_name(self) -> str:
        return self._ledger.study_name

    def fill(self, trials: int, *, steps: int = 0) -> None:
        for number in range(trials):
            self.ask(number)
            self.report(number, steps)
            self.tell(number)

    def ask(self, number: int) -> None:
        self._ledger.claim(fresh_trial(number), SPACE, detail={"sampler": "random"})

    def start(self, number: int) -> None:
        self._ledger.mark_started(number, 0, 0.0)

    def tell(self, number: int) -> None:
        self._ledger.conclude(number, 0, succeeded(0.5), last_step=-1, gpu_seconds=60.0, tell=complete(0.5))

    def report(self, number: int, steps: int) -> None:
        self._ledger.report([ReportedPoint(trial=number, step=step, value=step / 7) for step in range(steps)])

    def load(self) -> None:
        self._ledger.load()


class _Stock:
    """Optuna alone, on a database with the same trials."""

    def __init__(self, url: str, study_name: str) -> None:
        self._url, self._name = url, study_name
        self._study = optuna.load_study(study_name=study_name, storage=stock_optuna(url), sampler=optuna.samplers.RandomSampler())
        self._space = {name: OPTUNA_SPACE[name] for name in ADAM}
        self._trials: dict[int, optuna.Trial] = {}

    def ask(self, number: int) -> None:
        self._trials[number] = self._study.ask(self._space)

    def tell(self, number: int) -> None:
        self._study.tell(self._trials[number], 0.5)

    def report(self, number: int, steps: int) -> None:
        for step in range(steps):
            self._trials[number].report(step / 7, step)

    def load(self) -> None:
        optuna.load_study(study_name=self._name, storage=stock_optuna(self._url)).get_trials(deepcopy=False)


def measure(server: PostgresServer) -> list[Line]:
    """Fill one database, copy it, and time both stores in turn."""
    name = server.create_database()
    prepare(server.url(name))
    database = Database.connect(server.url(name))
    flat, stepped = _Ours(database, "flat"), _Ours(database, "stepped")
    flat.fill(TRIALS)
    stepped.fill(STEPPED_TRIALS, steps=STEPS)
    database.close()
    copy = server.url(server.create_database(template=name))
    stock = _Stock(copy, flat.study_name)
    stock.ask(-1)  # reads the study for the first time
    numbers = range(TRIALS, TRIALS + CALLS)
    return [
        Line(what=f"load {TRIALS:,} trials", ours=fastest(flat.load), stock=fastest(stock.load), aim=2_000),
        Line(
            what=f"load {STEPPED_TRIALS:,} trials x {STEPS} steps",
            ours=fastest(stepped.load),
            stock=fastest(_Stock(copy, stepped.study_name).load),
        ),
        Line(what="ask-write", ours=median(flat.ask, numbers), stock=median(stock.ask, numbers), aim=5),
        Line(what="start-write", ours=median(flat.start, numbers), stock=None),
        Line(
            what=f"{REPORTS} reports",
            ours=median(lambda number: flat.report(number, REPORTS), numbers),
            stock=median(lambda number: stock.report(number, REPORTS), numbers[:5]),
            aim=10,
        ),
        Line(what="tell-write", ours=median(flat.tell, numbers), stock=median(stock.tell, numbers), aim=5),
    ]


def show(lines: Iterable[Line]) -> None:
    table = Table("", "ours, ms", "aim, ms", "stock Optuna, ms", "ratio", title="Study database on PostgreSQL")
    for column in table.columns[1:]:
        column.justify = "right"
    for line in lines:
        aim = f"{line.aim:,.0f}" if line.aim else ""
        stock = () if line.stock is None else (f"{line.stock:,.1f}", f"{line.stock / line.ours:,.1f} x")
        table.add_row(line.what, f"{line.ours:,.1f}", aim, *stock)
    Console().print(table)


def commit_on_disk() -> float:
    """What waiting for the disk adds to a transaction."""
    return bare_transaction(durable=True) - bare_transaction(durable=False)


def bare_transaction(*, durable: bool) -> float:
    with running_postgres(durable=durable) as server:
        url = server.url(server.create_database())
        prepare(url)
        database = Database.connect(url)
        ledger = database.adopt(IDENTITY, spec_json=SPEC_JSON, direction="maximize", now=0.0)
        took = median(lambda number: ledger.save_spec(str(number)), range(CALLS))
        database.close()
        return took


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with running_postgres() as running:
        show(measure(running))
    Console().print(f"Waiting for the disk adds {commit_on_disk():.1f} ms to each commit here, ours and Optuna's.")
