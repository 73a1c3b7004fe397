"""One study: observe, decide, act. The imperative part; every choice is the engine's."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tuning_operator.api.contract import Result, environment
from tuning_operator.api.parameters import at_defaults
from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import StudySpec
from tuning_operator.controller.backoff import backoffs
from tuning_operator.controller.memory import StudyMemory
from tuning_operator.controller.shares import NoLimit, Share
from tuning_operator.engine import summary
from tuning_operator.engine.actions import (
    Action,
    AskTrial,
    ClaimAttempt,
    ClaimTrial,
    ConcludeAttempt,
    DecideEnd,
    ExpireStudy,
    ReleaseAttempt,
    StartAttempt,
    StopAttempt,
    Tell,
    TellTrial,
)
from tuning_operator.engine.after import concluded, new_attempt, new_trial, told
from tuning_operator.engine.decide import POLICIES, decide
from tuning_operator.engine.facts import Attempt, Outcome, Role, SamplerChoice, StudyCause, StudyFacts, Trial
from tuning_operator.engine.policies import search
from tuning_operator.engine.status import project
from tuning_operator.runtime.protocol import AttemptKey, Launch, Runtime, RuntimeUnavailableError
from tuning_operator.search.libraries import library_versions
from tuning_operator.search.problem import Exhausted, problem_of
from tuning_operator.search.searcher import Searcher, SearchFailed
from tuning_operator.store.errors import DatabaseUnavailableError
from tuning_operator.store.ledger import Ledger
from tuning_operator.store.records import ReportedPoint, StoredStudy
from tuning_operator.telemetry import metrics

_log = logging.getLogger(__name__)

WITHOUT_SEARCH: Final = tuple(policy for policy in POLICIES if policy is not search.policy)
_SECONDS_PER_HOUR: Final = 3600


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a study works with."""

    ledger: Ledger
    runtime: Runtime
    searcher: Searcher
    clock: Callable[[], float]  # seconds since the epoch
    write_reports: Callable[[], Awaitable[None]]  # returns once every report taken so far is in the database
    expire: Callable[[], Awaitable[None]]  # deletes the study object after its time to live
    share: Share = NoLimit()  # noqa: RUF009 - it has no state
    overtaken: Callable[[], bool] = lambda: False  # whether somebody wants something else since the last round began


class StudyController:
    """A study in memory, backed by the database.

    One `reconcile` at a time; the gateway's desk may change trials in between (`take_reports`, `take_result`), since
    both run on one event loop and every change starts from the newest trial.
    """

    def __init__(
        self, *, name: str, spec: StudySpec, generation: int, choice: SamplerChoice, stored: StoredStudy, parts: Parts
    ) -> None:
        """Continue a study from what is stored.

        Args:
            name: how the study is called in its trials' environment, such as ``research/digits``.
            spec: the spec of this moment.
            generation: of the spec; a stalled study goes on under a new one.
            choice: the sampler in use.
            stored: what the ledger holds.
            parts: the database, the runtime, the search and the clock.
        """
        self.name = name
        self._namespace = name.partition("/")[0]
        self.spec = spec
        self.generation = generation
        self.choice = choice
        self.deleted = False  # its object is gone
        self.causes: tuple[StudyCause, ...] = ()  # what keeps it from going on, besides what the runtime says
        self._parts = parts
        self._memory = StudyMemory(stored)
        self._expired = False
        self._seen = self.facts()
        self._doubtful = False  # memory and database may differ: read again before the next look
        self._results = asyncio.Lock()  # a result is taken, or its attempt concluded, one after the other
        self._search_pauses = backoffs()
        self._ask_again_at = -math.inf
        self._asking = True  # whether the last decisions were free to ask the search
        self.trouble = ""  # why the search does not go on, for people; empty when it does
        self._problem = problem_of(parts.ledger.study_name, spec, choice.sampler)

    # Observe

    def facts(self) -> StudyFacts:
        """What is known now: the trials in memory, joined with what the runtime sees of their attempts."""
        return StudyFacts(
            spec=self.spec,
            generation=self.generation,
            began_at=self._memory.began_at,
            trials=self._memory.seen(self._parts.runtime.observe()),
            verdict=self._memory.verdict,
            exhausted=self._memory.exhausted,
            expired=self._expired,
            deleted=self.deleted,
            causes=(*self.causes, *self._parts.runtime.causes()),
        )

    def status(self, facts: StudyFacts, previous: StudyStatus | None = None) -> StudyStatus:
        """The status that these facts imply now."""
        if self.trouble:
            # Said, and no more: as a cause among the facts it would keep the search from being asked again.
            mute = StudyCause(reason="SearchUnavailable", message=self.trouble, passing=True)
            facts = replace(facts, causes=(*facts.causes, mute))
        return project(facts, self._parts.clock(), choice=self.choice, previous=previous)

    # Decide and act

    async def reconcile(self) -> bool:
        """Look once, and act on what was seen. False when there was nothing to do: then nothing is, until something happens.

        Raises:
            DatabaseUnavailableError: try again later; what was not written is decided again.
            StoreError: the study is somebody else's now, or the database holds something unexpected.
            RuntimeUnavailableError: try again later.
        """
        try:
            if self._doubtful:
                await self.reload()
            return await self._round()
        except DatabaseUnavailableError:
            self._doubtful = True
            raise

    async def _round(self) -> bool:
        self._seen = facts = self.facts()
        actions = self._decide(facts)
        wanted = _held_after(facts, actions)
        most = self._parts.share.most(wanted)
        if most is not None and most < wanted:
            self._seen = facts = replace(facts, share=most)
            actions = self._decide(facts)
        # At once, before another study counts the same places as free.
        self._parts.share.hold(_held_after(facts, actions))
        try:
            await self._carry_out_all(actions, facts.spec)
        finally:
            self._parts.share.hold(sum(trial.last.live for trial in self._memory.trials if not trial.finished))
        return bool(actions)

    async def _carry_out_all(self, actions: Iterable[Action], spec: StudySpec) -> None:
        untidy: RuntimeUnavailableError | None = None
        for action in actions:
            _log.debug("%s: %s", self.name, action)
            tidies = isinstance(action, ReleaseAttempt)
            if tidies and untidy is not None:
                continue
            try:
                held = await self._carry_out(action)
            except RuntimeUnavailableError as error:
                if not tidies:
                    raise
                # Nothing depends on what is only tidied up: trials go on, and it is tried again.
                held, untidy = True, error
            # The rest was decided for a spec that is none any more, or on facts that do not hold.
            if not held or self.spec is not spec or self._parts.overtaken():
                break
        if untidy is not None:
            raise untidy

    def _decide(self, facts: StudyFacts) -> tuple[Action, ...]:
        self._asking = self._parts.clock() >= self._ask_again_at
        return decide(facts, self._parts.clock(), policies=POLICIES if self._asking else WITHOUT_SEARCH)

    async def _carry_out(self, action: Action) -> bool:
        """Carry out one action; False when its effect is not the expected one, which ends the round."""
        effect = self._EFFECTS[type(action)]
        outcome: bool | None = await effect(self, action)
        return outcome is not False

    async def _claim_trial(self, action: ClaimTrial) -> None:
        trial = new_trial(self._seen, action.number, role=action.role, parameters=action.parameters, now=self._parts.clock())
        await self._claim(trial, {})

    async def _ask_trial(self, action: AskTrial) -> bool:
        try:
            with metrics.ASK.labels(self.choice.sampler).time():
                answer = await self._parts.searcher.ask(self._problem, tuple(self._memory.trials), action.number)
        except SearchFailed as error:
            self._pause_search(error)
            return False
        self._search_pauses, self.trouble = backoffs(), ""
        if isinstance(answer, Exhausted):
            await asyncio.to_thread(self._parts.ledger.mark_exhausted)
            self._memory.exhausted = True
            return False
        trial = new_trial(self._seen, action.number, role=Role.SEARCH, parameters=answer.parameters, now=self._parts.clock())
        await self._claim(replace(trial, sampler_state=answer.sampler_state), self._how_asked())
        return True

    def _pause_search(self, error: SearchFailed) -> None:
        """Ask again later; meanwhile what runs is looked after."""
        pause = next(self._search_pauses)
        self._ask_again_at = self._parts.clock() + pause
        self.trouble = f"the search gave no answer: {error}"
        _log.warning("%s: %s; asking again in %.0f s", self.name, self.trouble, pause)

    def _how_asked(self) -> Mapping[str, Any]:
        """What replaying this ask needs to be told, besides the order of the log."""
        return {"sampler": self.choice.sampler, "versions": library_versions()}

    async def _claim(self, trial: Trial, detail: Mapping[str, Any]) -> None:
        await asyncio.to_thread(self._parts.ledger.claim, trial, self.spec.parameters, detail=detail)
        self._memory.trials.append(trial)

    async def _claim_attempt(self, action: ClaimAttempt) -> None:
        attempt = new_attempt(self._seen, action.attempt, self._parts.clock())
        await asyncio.to_thread(self._parts.ledger.claim_attempt, action.trial, attempt)
        self._memory.put(action.trial, attempt)

    async def _start_attempt(self, action: StartAttempt) -> None:
        await self._parts.runtime.start(self._launch(self._memory.trials[action.trial], action.attempt))
        now = self._parts.clock()
        await asyncio.to_thread(self._parts.ledger.mark_started, action.trial, action.attempt, now)
        self._memory.change(action.trial, action.attempt, started_at=now)

    async def _stop_attempt(self, action: StopAttempt) -> None:
        if self._memory.trials[action.trial].attempts[action.attempt].stop_reason is None:
            recorded = await asyncio.to_thread(self._parts.ledger.request_stop, action.trial, action.attempt, action.reason)
            # Another reason may stand there, of a write whose answer was lost.
            self._doubtful = self._doubtful or not recorded
            self._memory.change(action.trial, action.attempt, stop_reason=action.reason)
        await self._parts.runtime.stop(AttemptKey(action.trial, action.attempt))

    async def _conclude_attempt(self, action: ConcludeAttempt) -> bool:
        # The database drops reports of a trial that is told.
        await self._parts.write_reports()
        async with self._results:
            trial = self.facts().trial(action.trial)
            attempt = trial.attempts[action.attempt]
            if attempt.posted is not self._seen.trial(action.trial).attempts[action.attempt].posted:
                return False  # its result came in between, and decides otherwise
            seconds = _SECONDS_PER_HOUR * summary.attempt_hours(replace(attempt, ended=action.ended), action.ended.at)
            with metrics.TELL.time():
                await asyncio.to_thread(
                    self._parts.ledger.conclude,
                    action.trial,
                    action.attempt,
                    action.ended,
                    last_step=trial.last_step,
                    gpu_seconds=seconds * self.spec.trial.gpus,
                    tell=action.tell,
                )
            self._memory.trials[action.trial] = concluded(self._memory.trials[action.trial], action)
        self._count(trial.role, action.ended.outcome, seconds * self.spec.trial.gpus)
        if action.tell is not None:
            self._count_trial(trial.role, action.tell)
        return True

    async def _tell_trial(self, action: TellTrial) -> None:
        now = self._parts.clock()
        await asyncio.to_thread(self._parts.ledger.tell, action.trial, action.tell, now)
        trial = self._memory.trials[action.trial] = told(self._memory.trials[action.trial], action.tell, now)
        self._count_trial(trial.role, action.tell)
        await self._parts.runtime.release(AttemptKey(trial.number, trial.last.number), final=True)

    def _count(self, role: Role, outcome: Outcome, gpu_seconds: float) -> None:
        metrics.ATTEMPTS.labels(self._namespace, role, outcome).inc()
        metrics.GPU_SECONDS.labels(self._namespace, outcome).inc(gpu_seconds)

    def _count_trial(self, role: Role, tell: Tell) -> None:
        metrics.TRIALS.labels(self._namespace, role, tell.state, tell.reason).inc()

    async def _release_attempt(self, action: ReleaseAttempt) -> None:
        key = AttemptKey(action.trial, action.attempt)
        await self._parts.runtime.release(key, final=self._memory.trials[action.trial].finished)

    async def _decide_end(self, action: DecideEnd) -> None:
        await asyncio.to_thread(self._parts.ledger.decide_end, action.verdict)
        self._memory.verdict = action.verdict

    async def _expire(self, _action: ExpireStudy) -> None:
        await self._parts.expire()
        self._expired = True

    def amend(self, spec: StudySpec, generation: int, choice: SamplerChoice) -> None:
        """Go on under another spec, which has been settled; a round under way ends after its action."""
        self.spec = spec
        self.generation = generation
        self.choice = choice
        self._problem = problem_of(self._parts.ledger.study_name, spec, choice.sampler)

    def rehearsal(self) -> Launch:
        """What the first attempt would be told, as far as there are defaults: to ask a runtime whether it would run."""
        values, _ = at_defaults(self.spec.parameters)
        return self._launch(new_trial(self.facts(), 0, role=Role.BASELINE, parameters=values, now=self._parts.clock()), 0)

    @property
    def ask_again_at(self) -> float | None:
        """Until when decisions leave out the search, after it gave no answer; None when they do not."""
        return None if self._asking else self._ask_again_at

    async def reload(self) -> None:
        """Read everything again: after an outage, nobody knows whether the last write was done.

        Raises:
            StoreError: it is not read; what was known stays.
        """
        async with self._results:
            self._memory.reload(await asyncio.to_thread(self._parts.ledger.load))
        self._doubtful = False

    def suspend(self) -> None:
        """Want every trial stopped and none started, as with spec.suspend."""
        self.spec = self.spec.model_copy(update={"suspend": True})

    # What the gateway brings

    def attempt(self, trial: int, attempt: int) -> tuple[Trial, Attempt] | None:
        """A trial and one of its attempts; None when there is no such attempt."""
        return self._memory.attempt(trial, attempt)

    def take_reports(self, trial: int, reports: Mapping[int, float]) -> None:
        """Add intermediate values of the objective by step; the first value of a step stays."""
        self._memory.add_reports(trial, reports)

    async def take_result(self, trial: int, attempt: int, result: Result) -> bool:
        """Commit a result. False when the attempt was concluded without it.

        Raises:
            StoreError: it is not known to be committed.
        """
        post = self._parts.ledger.post_result
        async with self._results:
            try:
                accepted = await asyncio.to_thread(post, trial, attempt, result.metrics, pruned=result.pruned)
            except DatabaseUnavailableError:
                self._doubtful = True
                raise
            if accepted:
                self._memory.change(trial, attempt, posted=result.metrics, posted_pruned=result.pruned)
        return accepted

    async def store_reports(self, points: Sequence[ReportedPoint]) -> None:
        """Write intermediate values into the database.

        Raises:
            StoreError: they are not written.
        """
        await asyncio.to_thread(self._parts.ledger.report, points)

    # Inside

    def _launch(self, trial: Trial, attempt: int) -> Launch:
        variables = environment(
            study=self.name,
            trial=trial.number,
            role=trial.role,
            parameters=trial.parameters,
            space=self.spec.parameters,
            seed=trial.seed,
            objective=self.spec.objective,
        )
        return Launch(key=AttemptKey(trial.number, attempt), environment=variables)

    _EFFECTS: Final[Mapping[type, Callable[..., Any]]] = {
        ClaimTrial: _claim_trial,
        AskTrial: _ask_trial,
        ClaimAttempt: _claim_attempt,
        StartAttempt: _start_attempt,
        StopAttempt: _stop_attempt,
        ConcludeAttempt: _conclude_attempt,
        TellTrial: _tell_trial,
        ReleaseAttempt: _release_attempt,
        DecideEnd: _decide_end,
        ExpireStudy: _expire,
    }


def _held_after(facts: StudyFacts, actions: Sequence[Action]) -> int:
    """How many attempts will live once all of this is done."""
    begun = sum(isinstance(action, ClaimTrial | AskTrial | ClaimAttempt) for action in actions)
    return len(facts.live) + begun - sum(isinstance(action, ConcludeAttempt) for action in actions)
