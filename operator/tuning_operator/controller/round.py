"""One round of a study: what was decided is carried out. Every choice is the engine's.

The database is written in the order of the actions, several alike in one transaction; meanwhile the runtime does what is
written already. Memory follows the database, never the other way round.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from typing import Any, Final

from tuning_operator.api.contract import environment
from tuning_operator.api.study import StudySpec
from tuning_operator.controller.asking import Asking
from tuning_operator.controller.calls import AT_ONCE, Calls
from tuning_operator.controller.memory import StudyMemory
from tuning_operator.controller.parts import Parts
from tuning_operator.engine import final_evaluation, summary
from tuning_operator.engine.actions import (
    Action,
    AskTrial,
    ClaimAttempt,
    ClaimTrial,
    ConcludeAttempt,
    DecideEnd,
    EndSearch,
    ExpireStudy,
    ReleaseAttempt,
    StartAttempt,
    StopAttempt,
    TellTrial,
)
from tuning_operator.engine.after import new_attempt, new_trial
from tuning_operator.engine.facts import Role, StudyFacts, Trial
from tuning_operator.runtime.protocol import AttemptKey, Launch
from tuning_operator.search.libraries import library_versions
from tuning_operator.search.problem import Exhausted, Problem
from tuning_operator.telemetry import metrics

_log = logging.getLogger(__name__)

CLAIMS: Final = 32
"""Most claims of one round: what has ended meanwhile is written down, and its place filled, before more is claimed."""

_TOGETHER: Final = 64
"""Most actions that are written in one transaction."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """What a round works on, as it is when the round begins."""

    name: str
    parts: Parts
    memory: StudyMemory
    asking: Asking
    problem: Problem
    results: asyncio.Lock  # a result is taken, or its attempt concluded, one after the other
    wanted: Callable[[], bool]  # whether the spec that the actions were decided for is still the one


class Round:
    """Carries out actions once."""

    def __init__(self, study: Study, seen: StudyFacts, *, carefully: bool) -> None:
        """Prepare.

        Args:
            study: to which they belong.
            seen: the facts on which they were decided.
            carefully: try one attempt before many, since the last one was refused.
        """
        self.doubtful = False  # the database may hold something else than memory
        self.expired = False  # the study's object was deleted
        self.refused = False  # the runtime did not take an attempt, or did not stop one
        self._study = study
        self._seen = seen
        self._memory = study.memory
        self._ledger = study.parts.ledger
        self._runtime = study.parts.runtime
        self._clock = study.parts.clock
        self._calls = Calls(at_once=1 if carefully else AT_ONCE)
        self._started: list[tuple[AttemptKey, float]] = []  # what the runtime has taken, and when

    async def carry_out(self, actions: Iterable[Action]) -> None:
        """Carry out the actions, or as many of them as their facts hold for.

        The round ends early when an effect is not the expected one, when the runtime does not take an attempt, and when
        somebody wants something else. What has ended is let go of all the same.

        Raises:
            DatabaseUnavailableError: what was not written is decided again.
            StoreError: the study is somebody else's now, or the database holds something unexpected.
            RuntimeUnavailableError: try again later.
        """
        try:
            async with self._calls:
                goes_on = True
                for run in runs(bounded(actions)):
                    goes_on = goes_on and self._calls.failed is None
                    if goes_on or isinstance(run[0], ReleaseAttempt):
                        _log.debug("%s: %s", self._study.name, run)
                        held = await self._EFFECTS[type(run[0])](self, run)
                        goes_on = goes_on and held is not False and self._study.wanted()
        finally:
            self.refused = self._calls.failed is not None
        await self._record_starts()
        if (error := self._calls.failed or self._calls.untidy) is not None:
            raise error

    # Claims

    async def _claim_trials(self, actions: Sequence[ClaimTrial]) -> None:
        await self._claim([self._new_trial(action.number, action.role, action.parameters) for action in actions], {})

    async def _ask_trials(self, actions: Sequence[AskTrial]) -> bool:
        """Ask for all before any is written: each answer knows of the trials that are asked for before it."""
        asked: list[Trial] = []
        answer = None
        for action in actions:
            answer = await self._study.asking.ask(self._study.problem, (*self._memory.trials, *asked), action.number)
            if answer is None or isinstance(answer, Exhausted):
                break
            trial = self._new_trial(action.number, Role.SEARCH, answer.parameters)
            asked.append(replace(trial, sampler_state=answer.sampler_state))
            if not self._study.wanted():
                break
        # What replaying an ask needs to be told, besides the order of the log.
        await self._claim(asked, {"sampler": self._study.problem.sampler, "versions": library_versions()})
        if isinstance(answer, Exhausted):
            await asyncio.to_thread(self._ledger.mark_exhausted)
            self._memory.exhausted = True
        return len(asked) == len(actions)

    def _new_trial(self, number: int, role: Role, parameters: Mapping[str, Any]) -> Trial:
        return new_trial(self._seen, number, role=role, parameters=parameters, now=self._clock())

    async def _claim(self, trials: Sequence[Trial], detail: Mapping[str, Any]) -> None:
        def write() -> None:
            with self._ledger.together() as writes:
                for trial in trials:
                    writes.claim(trial, self._seen.spec.parameters, detail=detail)

        if trials:
            await asyncio.to_thread(write)
            self._memory.trials += trials

    async def _claim_attempts(self, actions: Sequence[ClaimAttempt]) -> None:
        for action in actions:
            attempt = new_attempt(self._seen, action.attempt, self._clock())
            await asyncio.to_thread(self._ledger.claim_attempt, action.trial, attempt)
            self._memory.put(action.trial, attempt)

    # What runs

    async def _start_attempts(self, actions: Sequence[StartAttempt]) -> None:
        for action in actions:
            launch = launch_of(self._study.name, self._seen.spec, self._memory.trials, AttemptKey(action.trial, action.attempt))
            self._calls.begin(action.trial, partial(self._start, launch))

    async def _start(self, launch: Launch) -> None:
        await self._runtime.start(launch)
        self._started.append((launch.key, self._clock()))

    async def _record_starts(self) -> None:
        """Last, and together: an attempt of which this is lost is found running, or started anew if it is gone."""
        started = self._started

        def write() -> None:
            with self._ledger.together() as writes:
                for key, at in started:
                    writes.mark_started(key.trial, key.attempt, at)

        if started:
            await asyncio.to_thread(write)
        for key, at in started:
            self._memory.change(key.trial, key.attempt, started_at=at)

    async def _stop_attempts(self, actions: Sequence[StopAttempt]) -> None:
        for action in actions:
            if self._memory.trials[action.trial].attempts[action.attempt].stop_reason is None:
                recorded = await asyncio.to_thread(self._ledger.request_stop, action.trial, action.attempt, action.reason)
                # Another reason may stand there, of a write whose answer was lost.
                self.doubtful = self.doubtful or not recorded
                self._memory.change(action.trial, action.attempt, stop_reason=action.reason)
            self._calls.begin(action.trial, partial(self._runtime.stop, AttemptKey(action.trial, action.attempt)))

    # Ends

    async def _conclude_attempts(self, actions: Sequence[ConcludeAttempt]) -> bool:
        # The database drops reports of a trial that is told.
        await self._study.parts.write_reports()
        async with self._study.results:
            # A result that came in between decides otherwise.
            ends = [_End.of(action, self._memory.trials[action.trial]) for action in actions if self._is_as_seen(action)]

            def write() -> None:
                with self._ledger.together() as writes:
                    for end in ends:
                        writes.conclude(
                            end.action.trial,
                            end.action.attempt,
                            end.action.ended,
                            last_step=end.last_step,
                            gpu_seconds=end.seconds * self._seen.spec.trial.gpus,
                            tell=end.action.tell,
                        )

            if not ends:
                return False
            with metrics.TELL.time():
                await asyncio.to_thread(write)
            for end in ends:
                self._memory.conclude(end.action)
        for end in ends:
            self._count(end)
        return len(ends) == len(actions)

    def _is_as_seen(self, action: ConcludeAttempt) -> bool:
        now, then = self._memory.trials[action.trial], self._seen.trial(action.trial)
        return now.attempts[action.attempt].posted is then.attempts[action.attempt].posted

    def _count(self, end: _End) -> None:
        ended = end.action.ended
        metrics.ATTEMPTS.labels(self._namespace, end.role, ended.outcome).inc()
        metrics.GPU_SECONDS.labels(self._namespace, ended.outcome).inc(end.seconds * self._seen.spec.trial.gpus)
        if end.action.tell is not None:
            self._count_trial(self._memory.trials[end.action.trial])

    def _count_trial(self, trial: Trial) -> None:
        metrics.TRIALS.labels(self._namespace, trial.role, trial.state, trial.reason).inc()
        for diagnosis in trial.diagnoses:
            metrics.DIAGNOSES.labels(self._namespace, diagnosis.label).inc()

    @property
    def _namespace(self) -> str:
        return self._study.name.partition("/")[0]

    async def _tell_trials(self, actions: Sequence[TellTrial]) -> None:
        for action in actions:
            now = self._clock()
            await asyncio.to_thread(self._ledger.tell, action.trial, action.tell, now)
            trial = self._memory.tell(action, now)
            self._count_trial(trial)
            self._release(AttemptKey(trial.number, trial.last.number))

    async def _release_attempts(self, actions: Sequence[ReleaseAttempt]) -> None:
        for action in actions:
            # A round that ended early may not have come to write down how it ended.
            if not self._memory.trials[action.trial].attempts[action.attempt].live:
                self._release(AttemptKey(action.trial, action.attempt))

    def _release(self, key: AttemptKey) -> None:
        """Nothing depends on what is only tidied up: trials go on, and it is tried again."""
        release = partial(self._runtime.release, key, final=self._memory.trials[key.trial].finished)
        self._calls.begin(key.trial, release, tidies=True)

    async def _end_search(self, actions: Sequence[EndSearch]) -> None:
        (action,) = actions
        await asyncio.to_thread(self._ledger.end_search, action.verdict)
        self._memory.search_end = action.verdict

    async def _decide_end(self, actions: Sequence[DecideEnd]) -> None:
        (action,) = actions
        await asyncio.to_thread(self._ledger.decide_end, action.verdict)
        self._memory.verdict = action.verdict

    async def _expire(self, _actions: Sequence[ExpireStudy]) -> None:
        await self._study.parts.expire()
        self.expired = True

    _EFFECTS: Final[Mapping[type, Callable[..., Any]]] = {
        ClaimTrial: _claim_trials,
        AskTrial: _ask_trials,
        ClaimAttempt: _claim_attempts,
        StartAttempt: _start_attempts,
        StopAttempt: _stop_attempts,
        ConcludeAttempt: _conclude_attempts,
        TellTrial: _tell_trials,
        ReleaseAttempt: _release_attempts,
        EndSearch: _end_search,
        DecideEnd: _decide_end,
        ExpireStudy: _expire,
    }


@dataclass(frozen=True, kw_only=True)
class _End:
    """How an attempt ends, and what is written of it."""

    action: ConcludeAttempt
    role: Role
    last_step: int
    seconds: float  # for which it held its place

    @classmethod
    def of(cls, action: ConcludeAttempt, trial: Trial) -> _End:
        attempt = replace(trial.attempts[action.attempt], ended=action.ended)
        seconds = summary.HOUR * summary.attempt_hours(attempt, action.ended.at)
        return cls(action=action, role=trial.role, last_step=trial.last_step, seconds=seconds)


def launch_of(study: str, spec: StudySpec, trials: Sequence[Trial], key: AttemptKey) -> Launch:
    """What an attempt is told, and what its Pod has besides the template of all trials."""
    trial = trials[key.trial]
    tested = trial.role is Role.FINAL
    variables = environment(
        study=study,
        trial=trial.number,
        role=trial.role,
        parameters=trial.parameters,
        seed=trial.seed,
        spec=spec,
        final_epochs=final_evaluation.epochs(trials, trial.parameters) if tested else None,
    )
    added = spec.final_evaluation.template if tested and spec.final_evaluation else {}
    return Launch(key=key, environment=variables, template=added)


def bounded(actions: Iterable[Action], *, claims: int = CLAIMS) -> Iterator[Action]:
    """The actions without the claims that are too many for one round, and without what follows on these."""
    left = claims
    for action in actions:
        left -= isinstance(action, ClaimTrial | AskTrial | ClaimAttempt)
        if left >= 0 or isinstance(action, ReleaseAttempt):
            yield action


def runs(actions: Iterable[Action], *, longest: int = _TOGETHER) -> Iterator[tuple[Action, ...]]:
    """The actions in their order, those together that follow one another and are of a kind."""
    for _, alike in groupby(actions, key=type):
        while run := tuple(islice(alike, longest)):
            yield run
