"""The gateway's desk over the studies in memory: what a trial says reaches its study, and the database."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from tuning_operator.api.contract import STEPS_PER_FOLD, Result
from tuning_operator.api.pruning import LARGEST_STEP
from tuning_operator.controller.study import StudyController
from tuning_operator.controller.thinning import thinned
from tuning_operator.engine.facts import Attempt, StopReason, Trial
from tuning_operator.gateway.batch import Report, ReportWriter
from tuning_operator.gateway.desk import AttemptRef, Point, Superseded, TrialCard, Unavailable, UnknownAttempt
from tuning_operator.store.errors import DatabaseUnavailableError, StoreError
from tuning_operator.store.records import ReportedPoint

_log = logging.getLogger(__name__)


class StudyDesk:
    """Implements `gateway.desk.Desk` for the studies that are open in this process."""

    def __init__(self, *, changed: Callable[[str], None]) -> None:
        """Begin without studies.

        Args:
            changed: called with a study's key when a trial brought something that may need a decision.
        """
        self._studies: dict[str, StudyController] = {}
        self._changed = changed
        self._writer = ReportWriter(self._flush)

    def start(self) -> None:
        """Begin to write reports, on the running event loop."""
        self._writer.start()

    async def write_reports(self) -> None:
        """Return once every report taken so far is in the database.

        Raises:
            DatabaseUnavailableError: it is not; the reports stay in memory.
        """
        try:
            await self._writer.drain()
        except Unavailable as error:
            raise DatabaseUnavailableError(str(error)) from error

    async def close(self) -> None:
        """Write what waits."""
        await self._writer.close()

    def open_study(self, key: str, study: StudyController) -> None:
        """Take reports and results for this study from now on."""
        self._studies[key] = study

    def close_study(self, key: str) -> None:
        """Take nothing for this study any more: it has ended, or is no longer ours."""
        self._studies.pop(key, None)

    # Desk

    def describe(self, ref: AttemptRef) -> TrialCard | None:
        """What the trial may know about itself."""
        study = self._study(ref)
        trial, _ = self._current(ref)
        objective = study.spec.objective
        return TrialCard(
            role=trial.role,
            parameters=trial.parameters,
            seed=trial.seed,
            metric=objective.metric,
            direction=objective.direction,
        )

    async def report(self, ref: AttemptRef, points: Sequence[Point]) -> StopReason | None:
        """Take reports into memory at once; the database follows in batches."""
        trial, attempt = self._current(ref)
        study = self._study(ref)
        fold = STEPS_PER_FOLD if study.spec.validation else LARGEST_STEP + 1
        kept = list(thinned(points, known=trial.reports, count=len(trial.reports), last=trial.last_step, fold=fold))
        study.take_reports(ref.trial, _first_values(kept))
        self._writer.add(Report(ref, point) for point in kept)
        if study.spec.pruning.pruner != "none":
            self._changed(ref.study)
        return attempt.stop_reason

    def stop_reason(self, ref: AttemptRef) -> StopReason | None:
        """Whether and why to stop."""
        return self._current(ref)[1].stop_reason

    async def result(self, ref: AttemptRef, result: Result) -> bool:
        """Commit the result, after every earlier report."""
        self._current(ref)
        try:
            await self.write_reports()
            accepted = await self._study(ref).take_result(ref.trial, ref.attempt, result)
        except DatabaseUnavailableError as error:
            # Where the database is, and as whom one comes there, is not for trials.
            raise Unavailable("the study database does not answer now; send the same request again") from error
        self._changed(ref.study)
        return accepted

    # Inside

    def _study(self, ref: AttemptRef) -> StudyController:
        study = self._studies.get(ref.study)
        if study is None:
            raise UnknownAttempt(f"study {ref.study} is not open here")
        return study

    def _current(self, ref: AttemptRef) -> tuple[Trial, Attempt]:
        found = self._study(ref).attempt(ref.trial, ref.attempt)
        if found is None:
            raise UnknownAttempt(f"trial {ref.trial} of {ref.study} has no attempt {ref.attempt}")
        trial, attempt = found
        if trial.finished or attempt.ended is not None or trial.last.number != attempt.number:
            raise Superseded(f"attempt {ref.attempt} of trial {ref.trial} is history")
        return trial, attempt

    async def _flush(self, reports: Sequence[Report]) -> None:
        by_study: defaultdict[str, list[ReportedPoint]] = defaultdict(list)
        for report in reports:
            point = ReportedPoint(trial=report.ref.trial, step=report.point.step, value=report.point.value)
            by_study[report.ref.study].append(point)
        for key, points in by_study.items():
            if (study := self._studies.get(key)) is not None:
                await _store(study, points)


async def _store(study: StudyController, points: Sequence[ReportedPoint]) -> None:
    try:
        await study.store_reports(points)
    except DatabaseUnavailableError as error:
        raise Unavailable(str(error)) from error
    except StoreError as error:
        # Such as a study that another operator has taken over: the reports of the others in the batch are to be written.
        _log.warning("%s: %d reports are lost: %s", study.name, len(points), error)


def _first_values(points: Sequence[Point]) -> Mapping[int, float]:
    return {point.step: point.value for point in reversed(points)}
