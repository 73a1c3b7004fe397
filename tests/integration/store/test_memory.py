"""What is loaded equals what the controller keeps in memory, after any sequence of writes."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.postgres import PostgresServer
from tests.support.stored_studies import (
    ADAM,
    AT,
    BEGAN_AT,
    IDENTITY,
    SGD,
    SPACE,
    SPEC_JSON,
    assert_stock_optuna_agrees,
    comparable,
    fresh_trial,
)

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.engine.actions import ConcludeAttempt, Tell
from tuning_operator.engine.after import concluded, told
from tuning_operator.engine.facts import (
    Attempt,
    Ended,
    Outcome,
    Role,
    SamplerChoice,
    StopReason,
    Trial,
    TrialState,
    Verdict,
)
from tuning_operator.store import Database, Ledger, ReportedPoint, StoredStudy

any_floats = st.floats() | st.sampled_from([0.5, math.nan, math.inf, -math.inf])
metrics = st.dictionaries(st.sampled_from(["val_accuracy", "val_loss", "latency_ms"]), any_floats)
words = st.text(st.characters(), max_size=12)
tells = st.one_of(
    st.builds(Tell, state=st.just(TrialState.COMPLETE), value=st.floats(allow_nan=False), reason=words, message=words),
    st.builds(
        Tell,
        state=st.just(TrialState.PRUNED),
        value=st.none() | st.floats(allow_nan=False),
        reason=words,
        message=words,
    ),
    st.builds(Tell, state=st.just(TrialState.FAIL), value=st.none(), reason=words, message=words),
)
times = st.floats(AT, AT + 1e6)
figures = st.none() | st.floats(allow_nan=False)
diagnoses = st.lists(st.builds(Diagnosis, name=words, advice=words, figure=figures, threshold=figures), max_size=2).map(tuple)
endings = st.builds(
    Ended,
    outcome=st.sampled_from(Outcome),
    at=times,
    reason=words,
    message=words,
    metrics=metrics,
    pruned=st.booleans(),
    diagnoses=diagnoses,
)


class Memory:
    """A study as the controller keeps it, written through to the ledger."""

    def __init__(self, ledger: Ledger, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._ledger = ledger
        self._draw = draw
        self.study = StoredStudy(spec_json=SPEC_JSON, began_at=BEGAN_AT, choice=None, verdict=None, trials=(), exhausted=False)

    def step(self) -> None:
        """One write of any kind that makes sense now, sometimes twice."""
        possible: list[Callable[[], None]] = [self._decide, self._report]
        if self.study.verdict is None:
            possible += [self._claim] * 3
        if self._unfinished:
            possible += [self._record, self._conclude, self._conclude, self._go_on]
        self._draw(st.sampled_from(possible))()

    @property
    def _unfinished(self) -> Sequence[Trial]:
        return [trial for trial in self.study.trials if not trial.finished]

    def _write(self, write: Callable[[], object]) -> None:
        for _ in range(self._draw(st.integers(1, 2))):
            write()

    def _put(self, trial: Trial) -> None:
        trials = self.study.trials
        self.study = replace(self.study, trials=(*trials[: trial.number], trial, *trials[trial.number + 1 :]))

    def _claim(self) -> None:
        trial = fresh_trial(
            len(self.study.trials),
            parameters=self._draw(st.sampled_from([ADAM, SGD])),
            role=self._draw(st.sampled_from(Role if self.study.search_end is None else (Role.BASELINE, Role.CONFIRM))),
            at=self._draw(times),
            sampler_state=self._draw(st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", '"\\u0000"', "null"]))),
        )
        self._write(lambda: self._ledger.claim(trial, SPACE))
        self._put(trial)

    def _record(self) -> None:
        trial = self._draw(st.sampled_from(self._unfinished))
        attempt = trial.last
        started, reason, posted = self._draw(times), self._draw(st.sampled_from(StopReason)), self._draw(metrics)
        pruned, remarks = self._draw(st.booleans()), self._draw(diagnoses)
        self._write(lambda: self._ledger.mark_started(trial.number, attempt.number, started))
        self._write(lambda: self._ledger.request_stop(trial.number, attempt.number, reason))
        self._write(lambda: self._ledger.post_result(trial.number, attempt.number, posted, pruned=pruned, diagnoses=remarks))
        if attempt.live:
            attempt = replace(
                attempt,
                started_at=started if attempt.started_at is None else attempt.started_at,
                stop_reason=attempt.stop_reason or reason,
                posted=posted if attempt.posted is None else attempt.posted,
                posted_pruned=pruned if attempt.posted is None else attempt.posted_pruned,
                posted_diagnoses=remarks if attempt.posted is None else attempt.posted_diagnoses,
            )
        self._put(trial.with_attempt(attempt))

    def _report(self) -> None:
        points = [
            ReportedPoint(trial=trial, step=step, value=value)
            for trial, step, value in self._draw(
                st.lists(st.tuples(st.integers(0, len(self.study.trials)), st.integers(0, 4), any_floats), max_size=6)
            )
        ]
        self._write(lambda: self._ledger.report(points))
        for point in points:
            if point.trial < len(self.study.trials) and not self.study.trials[point.trial].finished:
                trial = self.study.trials[point.trial]
                self._put(replace(trial, reports={point.step: point.value, **trial.reports}))

    def _conclude(self) -> None:
        trial = self._draw(st.sampled_from(self._unfinished))
        if trial.last.ended:
            tell, at = self._draw(tells), self._draw(times)
            self._write(lambda: self._ledger.tell(trial.number, tell, at))
            self._put(told(trial, tell, at))
            return
        action = ConcludeAttempt(
            trial=trial.number,
            attempt=trial.last.number,
            ended=self._draw(endings),
            tell=self._draw(st.none() | tells),
        )
        used = self._draw(st.floats(0, 1e6))
        self._write(
            lambda: self._ledger.conclude(
                trial.number, action.attempt, action.ended, last_step=trial.last_step, gpu_seconds=used, tell=action.tell
            )
        )
        gpu_seconds = {**self.study.gpu_seconds, (trial.number, action.attempt): used}
        self.study = replace(self.study, gpu_seconds=gpu_seconds)
        self._put(concluded(trial, action))

    def _go_on(self) -> None:
        trial = self._draw(st.sampled_from(self._unfinished))
        if trial.last.live or self.study.verdict:
            return
        attempt = Attempt(number=trial.last.number + 1, generation=self._draw(st.integers(1, 9)), claimed_at=self._draw(times))
        self._write(lambda: self._ledger.claim_attempt(trial.number, attempt))
        self._put(trial.with_attempt(attempt))

    def _decide(self) -> None:
        what = self._draw(st.sampled_from(["spec", "choice", "exhausted", "search end", "verdict"]))
        match what:
            case "spec":
                spec_json = self._draw(st.sampled_from(["{}", '{"a": 1}']))
                self._write(lambda: self._ledger.save_spec(spec_json))
                self.study = replace(self.study, spec_json=spec_json)
            case "choice":
                choice = self.study.choice or SamplerChoice(sampler="tpe", reason=self._draw(words))
                self._write(lambda: self._ledger.save_choice(choice))
                self.study = replace(self.study, choice=choice)
            case "exhausted":
                self._write(self._ledger.mark_exhausted)
                self.study = replace(self.study, exhausted=True)
            case "search end":
                end = self.study.search_end or Verdict(
                    succeeded=True, reason="R", message=self._draw(words), at=self._draw(times)
                )
                self._write(lambda: self._ledger.end_search(end))
                self.study = replace(self.study, search_end=end)
            case "verdict":
                verdict = self.study.verdict or Verdict(
                    succeeded=True, reason="R", message=self._draw(words), at=self._draw(times)
                )
                self._write(lambda: self._ledger.decide_end(verdict))
                self.study = replace(self.study, verdict=verdict)


def check(url: str, data: st.DataObject, steps: int, *, database: Database) -> None:
    ledger = database.adopt(IDENTITY, spec_json=SPEC_JSON, direction="maximize", now=BEGAN_AT)
    memory = Memory(ledger, data.draw)
    for _ in range(steps):
        memory.step()
    assert comparable(ledger.load()) == comparable(memory.study)
    sequences = [event.sequence for event in ledger.events()]
    finished = [trial for trial in memory.study.trials if trial.finished]
    assert sequences == list(range(1, len(memory.study.trials) + len(finished) + 1))
    assert_stock_optuna_agrees(url)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), steps=st.integers(1, 30))
def test_a_study_in_sqlite_is_loaded_as_it_is_in_memory(prepared_sqlite: Path, data: st.DataObject, steps: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{shutil.copy(prepared_sqlite, folder)}"
        database = Database.connect(url)
        check(url, data, steps, database=database)
        database.close()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), steps=st.integers(10, 30))
def test_a_study_in_postgres_is_loaded_as_it_is_in_memory(
    prepared_postgres: str, postgres: PostgresServer, data: st.DataObject, steps: int
) -> None:
    name = postgres.create_database(template=prepared_postgres)
    database = Database.connect(postgres.url(name))
    check(postgres.url(name), data, steps, database=database)
    database.close()
    postgres.drop_database(name)
