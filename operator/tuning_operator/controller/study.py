"""One study: observe, decide, act. The imperative part; every choice is the engine's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from tuning_operator.api.contract import Result, environment
from tuning_operator.api.parameters import Parameters, at_defaults
from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import StudySpec
from tuning_operator.controller.asking import Asking
from tuning_operator.controller.calls import AT_ONCE, Calls
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
from tuning_operator.engine.after import new_attempt, new_trial
from tuning_operator.engine.decide import POLICIES, decide
from tuning_operator.engine.facts import Attempt, Outcome, Role, SamplerChoice, StudyCause, StudyFacts, Trial
from tuning_operator.engine.policies import search
from tuning_operator.engine.status import project
from tuning_operator.runtime.protocol import AttemptKey, Launch, Runtime
from tuning_operator.search.libraries import library_versions
from tuning_operator.search.problem import Exhausted, problem_of
from tuning_operator.search.searcher import Searcher
from tuning_operator.store.errors import DatabaseUnavailableError
from tuning_operator.store.ledger import Ledger
from tuning_operator.store.records import ReportedPoint, StoredStudy
from tuning_operator.telemetry import metrics

_log = logging.getLogger(__name__)

CLAIMS_AT_ONCE: Final = 32
"""Claims in one round: what has ended meanwhile is written down, and its place filled, before more is claimed."""

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


@dataclass(frozen=True)
class Round:
    """One look, from its facts to the last of its actions."""

    seen: StudyFacts
    calls: Calls
    started: list[tuple[AttemptKey, float]] = field(default_factory=list)  # what the runtime has taken, and when


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
        self._round = Round(seen=self.facts(), calls=Calls())
        self._doubtful = False  # memory and database may differ: read again before the next look
        self._results = asyncio.Lock()  # a result is taken, or its attempt concluded, one after the other
        self._asking = Asking(parts.searcher, name=name, clock=parts.clock)
        self.ask_again_at: float | None = None  # until when the last decisions left out the search, which gave no answer
        self._refused = False  # the last round ended because the runtime did not take an attempt
        self._problem = problem_of(parts.ledger.study_name, spec, choice.sampler)

    # Observe

    def facts(self) -> StudyFacts:
        """What is known now: the trials in memory, joined with what the runtime sees of their attempts."""
        return StudyFacts(
            spec=self.spec,
            generation=self.generation,
            began_at=self._memory.began_at,
            trials=self._memory.seen(self._parts.runtime.observe()),
            history=self._memory.history,
            verdict=self._memory.verdict,
            exhausted=self._memory.exhausted,
            expired=self._expired,
            deleted=self.deleted,
            causes=(*self.causes, *self._parts.runtime.causes()),
        )

    @property
    def trouble(self) -> str:
        """Why the search does not go on, for people; empty when it does."""
        return self._asking.trouble

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
            return await self._look()
        except DatabaseUnavailableError:
            self._doubtful = True
            raise

    async def _look(self) -> bool:
        facts = self.facts()
        actions = self._decide(facts)
        wanted = _held_after(facts, actions)
        most = self._parts.share.most(wanted)
        if most is not None and most < wanted:
            facts = replace(facts, share=most)
            actions = self._decide(facts)
        # At once, before another study counts the same places as free.
        self._parts.share.hold(_held_after(facts, actions))
        try:
            await self._carry_out(actions, facts)
        finally:
            self._parts.share.hold(self._memory.held)
        return bool(actions)

    def _decide(self, facts: StudyFacts) -> tuple[Action, ...]:
        self.ask_again_at = self._asking.paused_until
        return decide(facts, self._parts.clock(), policies=POLICIES if self.ask_again_at is None else WITHOUT_SEARCH)

    async def _carry_out(self, actions: Iterable[Action], facts: StudyFacts) -> None:
        """Write into the database in the order of the actions, while the runtime does what is written already.

        A round that ends early was decided for a spec that is none any more, or on facts that do not hold. What has ended is
        let go of all the same.
        """
        # What was refused is tried with one attempt before it is with many.
        async with Calls(at_once=1 if self._refused else AT_ONCE) as calls:
            self._round = round_ = Round(seen=facts, calls=calls)
            goes_on = True
            for action in bounded(actions):
                goes_on = goes_on and calls.failed is None
                if goes_on or isinstance(action, ReleaseAttempt):
                    _log.debug("%s: %s", self.name, action)
                    outcome: bool | None = await self._EFFECTS[type(action)](self, action)
                    held = outcome is not False
                    goes_on = goes_on and held and self.spec is facts.spec and not self._parts.overtaken()
        self._refused = calls.failed is not None
        for key, at in round_.started:
            await asyncio.to_thread(self._parts.ledger.mark_started, key.trial, key.attempt, at)
            self._memory.change(key.trial, key.attempt, started_at=at)
        if (error := calls.failed or calls.untidy) is not None:
            raise error

    async def _claim_trial(self, action: ClaimTrial) -> None:
        await self._claim(self._new_trial(action.number, action.role, action.parameters), {})

    async def _ask_trial(self, action: AskTrial) -> bool:
        answer = await self._asking.ask(self._problem, tuple(self._memory.trials), action.number)
        if answer is None:
            return False
        if isinstance(answer, Exhausted):
            await asyncio.to_thread(self._parts.ledger.mark_exhausted)
            self._memory.exhausted = True
            return False
        trial = self._new_trial(action.number, Role.SEARCH, answer.parameters)
        await self._claim(replace(trial, sampler_state=answer.sampler_state), self._how_asked())
        return True

    def _new_trial(self, number: int, role: Role, parameters: Parameters) -> Trial:
        return new_trial(self._round.seen, number, role=role, parameters=parameters, now=self._parts.clock())

    def _how_asked(self) -> Mapping[str, Any]:
        """What replaying this ask needs to be told, besides the order of the log."""
        return {"sampler": self.choice.sampler, "versions": library_versions()}

    async def _claim(self, trial: Trial, detail: Mapping[str, Any]) -> None:
        await asyncio.to_thread(self._parts.ledger.claim, trial, self.spec.parameters, detail=detail)
        self._memory.trials.append(trial)

    async def _claim_attempt(self, action: ClaimAttempt) -> None:
        attempt = new_attempt(self._round.seen, action.attempt, self._parts.clock())
        await asyncio.to_thread(self._parts.ledger.claim_attempt, action.trial, attempt)
        self._memory.put(action.trial, attempt)

    async def _start_attempt(self, action: StartAttempt) -> None:
        launch = self._launch(self._memory.trials[action.trial], action.attempt)
        self._round.calls.begin(action.trial, partial(self._start, launch, self._round.started))

    async def _start(self, launch: Launch, started: list[tuple[AttemptKey, float]]) -> None:
        await self._parts.runtime.start(launch)
        started.append((launch.key, self._parts.clock()))

    async def _stop_attempt(self, action: StopAttempt) -> None:
        if self._memory.trials[action.trial].attempts[action.attempt].stop_reason is None:
            recorded = await asyncio.to_thread(self._parts.ledger.request_stop, action.trial, action.attempt, action.reason)
            # Another reason may stand there, of a write whose answer was lost.
            self._doubtful = self._doubtful or not recorded
            self._memory.change(action.trial, action.attempt, stop_reason=action.reason)
        self._round.calls.begin(action.trial, partial(self._parts.runtime.stop, AttemptKey(action.trial, action.attempt)))

    async def _conclude_attempt(self, action: ConcludeAttempt) -> bool:
        # The database drops reports of a trial that is told.
        await self._parts.write_reports()
        async with self._results:
            trial = self._memory.trials[action.trial]
            attempt = trial.attempts[action.attempt]
            if attempt.posted is not self._round.seen.trial(action.trial).attempts[action.attempt].posted:
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
            self._memory.conclude(action)
        self._count(trial.role, action.ended.outcome, seconds * self.spec.trial.gpus)
        if action.tell is not None:
            self._count_trial(trial.role, action.tell)
        return True

    async def _tell_trial(self, action: TellTrial) -> None:
        now = self._parts.clock()
        await asyncio.to_thread(self._parts.ledger.tell, action.trial, action.tell, now)
        trial = self._memory.tell(action, now)
        self._count_trial(trial.role, action.tell)
        self._release(AttemptKey(trial.number, trial.last.number))

    def _count(self, role: Role, outcome: Outcome, gpu_seconds: float) -> None:
        metrics.ATTEMPTS.labels(self._namespace, role, outcome).inc()
        metrics.GPU_SECONDS.labels(self._namespace, outcome).inc(gpu_seconds)

    def _count_trial(self, role: Role, tell: Tell) -> None:
        metrics.TRIALS.labels(self._namespace, role, tell.state, tell.reason).inc()

    async def _release_attempt(self, action: ReleaseAttempt) -> None:
        # A round that ended early may not have come to write down how it ended.
        if self._memory.trials[action.trial].attempts[action.attempt].ended is not None:
            self._release(AttemptKey(action.trial, action.attempt))

    def _release(self, key: AttemptKey) -> None:
        """Nothing depends on what is only tidied up: trials go on, and it is tried again."""
        release = partial(self._parts.runtime.release, key, final=self._memory.trials[key.trial].finished)
        self._round.calls.begin(key.trial, release, tidies=True)

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
            seed=trial.seed,
            spec=self.spec,
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


def bounded(actions: Iterable[Action], *, claims: int = CLAIMS_AT_ONCE) -> Iterator[Action]:
    """The actions without the claims that are too many for one round, and without what follows on these."""
    left = claims
    for action in actions:
        left -= isinstance(action, ClaimTrial | AskTrial | ClaimAttempt)
        if left >= 0 or isinstance(action, ReleaseAttempt):
            yield action


def _held_after(facts: StudyFacts, actions: Sequence[Action]) -> int:
    """How many attempts will live once all of this is done."""
    begun = sum(isinstance(action, ClaimTrial | AskTrial | ClaimAttempt) for action in actions)
    return len(facts.live) + begun - sum(isinstance(action, ConcludeAttempt) for action in actions)
