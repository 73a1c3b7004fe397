"""A simulated database and runtime under the engine: carries out actions and checks that each is allowed.

Simulated, for tests of the engine alone: no process, no database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.api.study import StudySpec
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
from tuning_operator.engine.after import after, new_trial
from tuning_operator.engine.decide import POLICIES, Policy, decide
from tuning_operator.engine.facts import (
    Attempt,
    Ended,
    Observation,
    Outcome,
    Phase,
    Role,
    StudyCause,
    StudyFacts,
    Trial,
    TrialState,
)
from tuning_operator.engine.final_evaluation import runs
from tuning_operator.engine.tally import Tally

METRIC = "val_accuracy"
TEST_METRIC = "test_accuracy"


@dataclass
class SimulatedWorld:
    """A study, its trials and the attempts that run."""

    spec: StudySpec
    now: float = 1_000.0
    space_size: int = 10**9  # the sampler is exhausted after so many search trials
    policies: Iterable[Policy] = POLICIES
    done: list[Action] = field(default_factory=list)
    max_trials_at_verdict: int = 0
    accepted_as: Phase = Phase.RUNNING  # what becomes of an attempt when the runtime accepts it
    refuses: StudyCause | None = None  # why the runtime takes no attempt; known from the first that it did not take
    starts: list[tuple[int, int]] = field(default_factory=list)  # (trial, attempt), as the runtime really started them
    reported: int = 0  # how many intermediate values came

    def __post_init__(self) -> None:
        self.facts = StudyFacts(spec=self.spec, generation=1, began_at=self.now, history=Tally())

    # What the controller does

    def decide(self) -> tuple[Action, ...]:
        """What the engine wants now."""
        return decide(self.facts, self.now, policies=self.policies)

    def round(self, *, crash_after: int | None = None) -> tuple[Action, ...]:
        """One look: decide and carry out; or the controller is killed in the middle of the action of that place."""
        actions = self.decide()
        goes_on = True
        for place, action in enumerate(actions):
            killed = place == crash_after
            # What has ended is let go of also when the round ends early.
            if goes_on or self._is_over(action):
                goes_on = self._carry_out(action, unrecorded=killed) and goes_on
                self.done.append(action)
                self.check()
            if killed:
                break
        return actions

    def _is_over(self, action: Action) -> bool:
        return isinstance(action, ReleaseAttempt) and not self.facts.trial(action.trial).attempts[action.attempt].live

    def settle(self, *, limit: int = 50) -> None:
        """Look until there is nothing to do but to try again what was refused."""
        for _ in range(limit):
            if all(isinstance(action, StartAttempt) and self.refuses for action in self.round()):
                return
        raise AssertionError(f"the engine never rests: {self.decide()}")

    def _carry_out(self, action: Action, *, unrecorded: bool = False) -> bool:
        self._check_allowed(action)
        match action:
            case AskTrial(number=number):
                if len(self.facts.of(Role.SEARCH)) >= self.space_size:
                    self.facts = replace(self.facts, exhausted=True)
                    return False
                values = {"learning_rate": 10.0 ** -(1 + number % 4)}
                self.facts = self.facts.with_trial(
                    new_trial(self.facts, number, role=Role.SEARCH, parameters=values, now=self.now)
                )
            case StartAttempt():
                # The runtime accepts it, then that is recorded: a crash may come between.
                if self.facts.trial(action.trial).last.observed is None:
                    if self.refuses is not None:
                        self.obstruct(self.refuses)
                        return False
                    placed = self.now if self.accepted_as is Phase.RUNNING else None
                    self._observe(action.trial, Observation(phase=self.accepted_as, started_at=placed))
                    self.starts.append((action.trial, action.attempt))
                if unrecorded:
                    return False
                self.facts = after(self.facts, (action,), self.now)
            case StopAttempt() if unrecorded:
                # The reason is recorded first: here the crash comes before the runtime is asked.
                trial = self.facts.trial(action.trial)
                self.facts = self.facts.with_trial(trial.with_attempt(replace(trial.last, stop_reason=action.reason)))
                return False
            case DecideEnd() | EndSearch() if self.facts.searching:
                self.max_trials_at_verdict = self.facts.spec.budget.max_trials
                self.facts = after(self.facts, (action,), self.now)
            case _:
                self.facts = after(self.facts, (action,), self.now)
        return True

    # What the world does

    def _observe(self, number: int, observed: Observation | None) -> None:
        trial = self.facts.trial(number)
        self.facts = self.facts.with_trial(trial.with_attempt(replace(trial.last, observed=observed)))

    def end(
        self,
        number: int,
        outcome: Outcome,
        *,
        value: float | None = 0.5,
        reason: str = "Simulated",
        diagnoses: tuple[Diagnosis, ...] = (),
        train_loss: float | None = None,
    ) -> None:
        """The newest attempt of a trial ends so, as the runtime sees it."""
        written = {METRIC: value, TEST_METRIC: value, "train_loss": train_loss} if outcome is Outcome.SUCCEEDED else {}
        metrics = {name: number for name, number in written.items() if number is not None}
        ended = Ended(outcome=outcome, at=self.now, reason=reason, metrics=metrics, diagnoses=diagnoses)
        seen = self.facts.trial(number).last.observed
        started = seen.started_at if seen else self.now
        self._observe(number, Observation(phase=Phase.ENDED, started_at=started, ended=ended))

    def place(self, number: int) -> None:
        """The newest attempt of a trial gets its place."""
        self._change_sight(number, phase=Phase.RUNNING, started_at=self.now)

    def hold_up(self, number: int, *, held_up: bool = True) -> None:
        """The newest attempt of a trial cannot run because of the study, or can again."""
        self._change_sight(number, held_up=held_up)

    def obstruct(self, *causes: StudyCause) -> None:
        """These, and no others, keep trials from running."""
        self.facts = replace(self.facts, causes=causes)

    def leave_room(self, share: int | None) -> None:
        """Other studies leave so much room."""
        self.facts = replace(self.facts, share=share)

    def delete(self) -> None:
        """The user deletes the study."""
        self.facts = replace(self.facts, deleted=True)

    def _change_sight(self, number: int, **changes: Any) -> None:
        seen = self.facts.trial(number).last.observed
        assert seen is not None, "what nobody sees does not change"
        self._observe(number, replace(seen, **changes))

    def vanish(self, number: int) -> None:
        """The runtime loses an attempt without a trace.

        If we were killed before its start was recorded, nobody can know that it ever ran: it does not count as started.
        """
        last = self.facts.trial(number).last
        if last.started_at is None:
            self.starts.remove((number, last.number))
        self._observe(number, None)

    def post(self, number: int, value: float) -> None:
        """The newest attempt's result is committed by the gateway."""
        trial = self.facts.trial(number)
        self.facts = self.facts.with_trial(trial.with_attempt(replace(trial.last, posted={METRIC: value, TEST_METRIC: value})))

    def report(self, number: int, step: int, value: float) -> None:
        """The trial reports an intermediate value."""
        trial = self.facts.trial(number)
        self.reported += 1
        arrivals = {step: self.reported, **trial.arrivals}
        self.facts = self.facts.with_trial(replace(trial, reports={**trial.reports, step: value}, arrivals=arrivals))

    def edit(self, spec: StudySpec, *, generation: int | None = None) -> None:
        """The user edits the spec."""
        self.facts = replace(self.facts, spec=spec, generation=generation or self.facts.generation + 1)

    def running(self) -> Sequence[Trial]:
        """Trials whose container runs now, and is not merely claimed."""
        return [t for t in self.facts.live if t.last.observed and t.last.observed.phase is not Phase.ENDED]

    def run_to_end(self, outcome_of: Callable[[Trial], tuple[Outcome, float | None]], *, limit: int = 2_000) -> int:
        """A fair runtime: everything that runs ends in time. Returns how many attempts ended."""
        for count in range(limit):
            self.settle()
            running = self.running()
            if not running:
                return count
            self.now += 10
            trial = running[0]
            if trial.last.stop_reason is not None:
                self.end(trial.number, Outcome.DISRUPTED, reason="Interrupted")
            else:
                outcome, value = outcome_of(trial)
                self.end(trial.number, outcome, value=value)
        raise AssertionError(f"the study is still alive after {limit} attempts")

    # Invariants

    def check(self) -> None:
        """What must hold after every single action."""
        search = self.facts.of(Role.SEARCH)
        assert [t.number for t in self.facts.trials] == list(range(len(self.facts.trials))), "numbers have no gaps"
        assert len(search) <= self.most_trials, "never more search trials than the budget"
        assert len(self.facts.of(Role.CONFIRM)) <= self.facts.spec.confirmation.repeats, "never more fresh runs than repeats"
        assert len(self.facts.of(Role.FINAL)) <= runs(self.facts.spec), "never more runs on the test set than asked for"
        assert len(set(self.starts)) == len(self.starts), "the runtime starts no attempt twice"
        for trial in self.facts.trials:
            assert sum(a.live for a in trial.attempts) <= (0 if trial.finished else 1), "no two live attempts of a trial"
            assert [a.number for a in trial.attempts] == list(range(len(trial.attempts)))
        self.check_history()

    @property
    def most_trials(self) -> int:
        """The largest maxTrials that held while trials were claimed."""
        self._most_trials = max(getattr(self, "_most_trials", 0), self.facts.spec.budget.max_trials)
        return self._most_trials

    def check_history(self) -> None:
        """The count that is kept says what counting anew says."""
        assert self.facts.history is not None
        anew = Tally.of(self.facts.trials)
        assert figures(self.facts.history) == pytest.approx(figures(anew))
        assert self.facts.history.curve == anew.curve

    def _check_allowed(self, action: Action) -> None:
        match action:
            case AskTrial(number=number):
                self._check_new(number, Role.SEARCH)
            case ClaimTrial(number=number, role=role):
                self._check_new(number, role)
            case ClaimAttempt(trial=number, attempt=attempt):
                trial = self.facts.trial(number)
                assert not trial.finished, "a finished trial never restarts"
                assert not trial.last.live, "one attempt at a time"
                assert attempt == trial.last.number + 1, "a name is never used twice"
                self._check_room()
            case StartAttempt(trial=number, attempt=attempt):
                trial = self.facts.trial(number)
                assert not trial.finished, "a finished trial never restarts"
                assert trial.last.number == attempt, "only the newest attempt starts"
                assert trial.last.started_at is None, "an attempt starts once"
            case ConcludeAttempt(trial=number, attempt=attempt):
                trial = self.facts.trial(number)
                assert not trial.finished, "told once"
                assert trial.attempts[attempt].ended is None, "concluded once"
            case TellTrial(trial=number):
                assert not self.facts.trial(number).finished, "told once"
            case StopAttempt(trial=number, attempt=attempt):
                assert self.facts.trial(number).attempts[attempt].live, "what ended is not stopped"
            case EndSearch() | DecideEnd():
                assert self.facts.verdict is None, "one verdict"
                assert self.facts.searching or isinstance(action, DecideEnd), "a search ends once"
            case ExpireStudy():
                assert not self.facts.deleted, "what is gone is not deleted"

    def _check_new(self, number: int, role: Role) -> None:
        assert number == len(self.facts.trials), "the next number"
        assert self.facts.verdict is None, "nothing new after the verdict"
        follows = role in {Role.CONFIRM, Role.FINAL}
        assert self.facts.searching != follows, "fresh and final runs after the search, all else in it"
        self._check_room()

    def _check_room(self) -> None:
        live = len(self.facts.live)
        assert live < self.facts.spec.budget.parallelism, "never more at once than parallelism"
        assert self.facts.share is None or live < self.facts.share, "never more than other studies leave room for"
        assert not self.facts.causes, "nothing new that could not run"


def figures(tally: Tally) -> dict[str, float]:
    """All that it says, trials by their numbers: what the runtime sees of one may change after its end."""
    said: dict[str, float] = {f"trials {state}": count for state, count in tally.states.items()}
    for name, value in vars(tally).items():
        if isinstance(value, int | float):
            said[name] = value
        elif isinstance(value, tuple | Trial):
            said |= {
                f"{name} {place}": trial.number for place, trial in enumerate([value] if isinstance(value, Trial) else value)
            }
    return said


def completed(world: SimulatedWorld) -> int:
    """How many search trials completed."""
    return sum(t.state is TrialState.COMPLETE for t in world.facts.of(Role.SEARCH))


def newest(world: SimulatedWorld, number: int) -> Attempt:
    """The newest attempt of a trial."""
    return world.facts.trial(number).last
