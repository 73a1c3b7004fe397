"""One study: observe, decide, act. The imperative part; every choice is the engine's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from tuning_operator.api.contract import Result
from tuning_operator.api.parameters import at_defaults
from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import StudySpec
from tuning_operator.controller.asking import Asking
from tuning_operator.controller.memory import StudyMemory
from tuning_operator.controller.parts import Parts
from tuning_operator.controller.round import Round, Study, launch_of
from tuning_operator.engine.actions import (
    Action,
    AskTrial,
    ClaimAttempt,
    ClaimTrial,
    ConcludeAttempt,
)
from tuning_operator.engine.after import new_trial
from tuning_operator.engine.decide import POLICIES, decide
from tuning_operator.engine.facts import Attempt, Role, SamplerChoice, StudyCause, StudyFacts, Trial
from tuning_operator.engine.policies import search
from tuning_operator.engine.status import project
from tuning_operator.runtime.protocol import AttemptKey, Launch
from tuning_operator.search.problem import problem_of
from tuning_operator.store.errors import DatabaseUnavailableError
from tuning_operator.store.records import ReportedPoint, StoredStudy

_log = logging.getLogger(__name__)

WITHOUT_SEARCH: Final = tuple(policy for policy in POLICIES if policy is not search.policy)


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
        self.spec = spec
        self.generation = generation
        self.choice = choice
        self.deleted = False  # its object is gone
        self.causes: tuple[StudyCause, ...] = ()  # what keeps it from going on, besides what the runtime says
        self._parts = parts
        self._memory = StudyMemory(stored)
        self._expired = False
        self._doubtful = False  # memory and database may differ: read again before the next look
        self._results = asyncio.Lock()  # a result is taken, or its attempt concluded, one after the other
        self._asking = Asking(parts.searcher, name=name, clock=parts.clock)
        self.ask_again_at: float | None = None  # until when the last decisions left out the search, which gave no answer
        self._refused = False  # the last round ended because of the runtime
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
            search_end=self._memory.search_end,
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
        study = Study(
            name=self.name,
            parts=self._parts,
            memory=self._memory,
            asking=self._asking,
            problem=self._problem,
            results=self._results,
            wanted=lambda: self.spec is facts.spec and not self._parts.overtaken(),
        )
        round_ = Round(study, facts, carefully=self._refused)
        try:
            await round_.carry_out(actions)
        finally:
            self._refused = round_.refused
            self._expired = self._expired or round_.expired
            self._doubtful = self._doubtful or round_.doubtful

    def amend(self, spec: StudySpec, generation: int, choice: SamplerChoice) -> None:
        """Go on under another spec, which has been settled; a round under way ends after its action."""
        self.spec = spec
        self.generation = generation
        self.choice = choice
        self._problem = problem_of(self._parts.ledger.study_name, spec, choice.sampler)

    def rehearsal(self) -> Launch:
        """What the first attempt would be told, as far as there are defaults: to ask a runtime whether it would run."""
        values, _ = at_defaults(self.spec.parameters)
        trial = new_trial(self.facts(), 0, role=Role.BASELINE, parameters=values, now=self._parts.clock())
        return launch_of(self.name, self.spec, (trial,), AttemptKey(0, 0))

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
                accepted = await asyncio.to_thread(
                    post, trial, attempt, result.metrics, pruned=result.pruned, diagnoses=result.diagnoses, notes=result.notes
                )
            except DatabaseUnavailableError:
                self._doubtful = True
                raise
            if accepted:
                self._memory.change(
                    trial,
                    attempt,
                    posted=result.metrics,
                    posted_pruned=result.pruned,
                    posted_diagnoses=result.diagnoses,
                    posted_notes=result.notes,
                )
        return accepted

    async def store_reports(self, points: Sequence[ReportedPoint]) -> None:
        """Write intermediate values into the database.

        Raises:
            StoreError: they are not written.
        """
        await asyncio.to_thread(self._parts.ledger.report, points)


def _held_after(facts: StudyFacts, actions: Sequence[Action]) -> int:
    """How many attempts will live once all of this is done."""
    begun = sum(isinstance(action, ClaimTrial | AskTrial | ClaimAttempt) for action in actions)
    return len(facts.live) + begun - sum(isinstance(action, ConcludeAttempt) for action in actions)
