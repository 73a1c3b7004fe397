"""A study as JSON for people and their programs.

Times are seconds since the epoch. Numbers that JSON lacks are the strings "NaN", "Infinity" and "-Infinity". Readers
ignore fields that they do not know, so that a newer operator may say more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.api.parameters import ParameterValue
from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import ObjectMeta, StudySpec, TuningStudy
from tuning_operator.engine.facts import (
    Attempt,
    Ended,
    Observation,
    Outcome,
    Phase,
    Role,
    StopReason,
    StudyFacts,
    Trial,
    TrialState,
)


class _Document(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        ser_json_inf_nan="strings",
    )


def _utf8(text: object) -> object:
    """A container's last words may hold what UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8") if isinstance(text, str) else text


Words = Annotated[str, BeforeValidator(_utf8)]


class EndView(_Document):
    """How an attempt ended."""

    outcome: Outcome
    at: float
    reason: str
    message: Words = ""


class AttemptView(_Document):
    """One run of a trial's container."""

    number: int
    generation: int
    claimed_at: float
    started_at: float | None = None
    phase: Phase = Phase.PENDING
    stop_reason: StopReason | None = None
    ended: EndView | None = None


class DiagnosisView(_Document):
    """Something that was wrong with a training."""

    name: str
    advice: str = ""
    figure: float | None = None
    threshold: float | None = None


class TrialView(_Document):
    """One configuration and its runs."""

    number: int
    role: Role
    state: TrialState
    parameters: dict[str, ParameterValue]
    seed: int
    claimed_at: float
    finished_at: float | None = None
    value: float | None = None
    reason: str = ""
    message: Words = ""
    metrics: dict[str, float] = Field(default_factory=dict)
    diagnoses: tuple[DiagnosisView, ...] = ()
    reports: dict[int, float] = Field(default_factory=dict)  # step -> objective's value; empty in a progress
    attempts: tuple[AttemptView, ...] = Field(min_length=1)


class StudyHead(_Document):
    """A study without its trials."""

    operator_version: str
    study: TuningStudy
    began_at: float
    running: bool  # whether the operator looks after it: not a study that has gone, nor one of another operator
    version: str = ""  # of a progress: what to ask for the changes since
    complete: bool = True  # whether all trials are here, not only those that changed


class StudyDocument(StudyHead):
    """A study and its trials."""

    trials: tuple[TrialView, ...]


def head_of(facts: StudyFacts, status: StudyStatus, *, metadata: ObjectMeta, running: bool, operator_version: str) -> StudyHead:
    """The head of a study as it is now."""
    study = TuningStudy(
        api_version="tuningstudy.dev/v1alpha1",
        kind="TuningStudy",
        metadata=metadata.model_copy(update={"generation": facts.generation}),
        spec=facts.spec,
        status=status,
    )
    return StudyHead(operator_version=operator_version, study=study, began_at=facts.began_at, running=running)


def trial_json(trial: Trial, *, with_reports: bool) -> bytes:
    """A trial as JSON."""
    view = TrialView(
        number=trial.number,
        role=trial.role,
        state=trial.state,
        parameters=dict(trial.parameters),
        seed=trial.seed,
        claimed_at=trial.claimed_at,
        finished_at=trial.finished_at,
        value=trial.value,
        reason=trial.reason,
        message=trial.message,
        metrics=dict(trial.metrics),
        diagnoses=tuple(DiagnosisView(**vars(diagnosis)) for diagnosis in trial.diagnoses),
        reports=dict(trial.reports) if with_reports else {},
        attempts=tuple(map(_attempt_view, trial.attempts)),
    )
    return view.model_dump_json(exclude_none=True).encode()


def document_json(head: StudyHead, trials: Iterable[bytes]) -> bytes:
    """A `StudyDocument` of trials that are JSON already: they are encoded once for all readers."""
    return head.model_dump_json(exclude_none=True).encode()[:-1] + b',"trials":[' + b",".join(trials) + b"]}"


def facts_of(spec: StudySpec, document: StudyDocument) -> StudyFacts:
    """What the document says, as the engine knows it. What only the operator needs is not in it."""
    return StudyFacts(
        spec=spec,
        generation=document.study.metadata.generation,
        began_at=document.began_at,
        trials=tuple(map(_trial, document.trials)),
    )


def _attempt_view(attempt: Attempt) -> AttemptView:
    ended = attempt.ended
    return AttemptView(
        number=attempt.number,
        generation=attempt.generation,
        claimed_at=attempt.claimed_at,
        started_at=attempt.started_at,
        phase=_phase(attempt),
        stop_reason=attempt.stop_reason,
        ended=EndView(outcome=ended.outcome, at=ended.at, reason=ended.reason, message=ended.message) if ended else None,
    )


def _phase(attempt: Attempt) -> Phase:
    if attempt.ended is not None:
        return Phase.ENDED
    return attempt.observed.phase if attempt.observed else Phase.PENDING


def _trial(view: TrialView) -> Trial:
    return Trial(
        number=view.number,
        role=view.role,
        parameters=view.parameters,
        seed=view.seed,
        claimed_at=view.claimed_at,
        attempts=tuple(map(_attempt, view.attempts)),
        state=view.state,
        value=view.value,
        reason=view.reason,
        message=view.message,
        finished_at=view.finished_at,
        metrics=view.metrics,
        diagnoses=tuple(Diagnosis(**vars(diagnosis)) for diagnosis in view.diagnoses),
        reports=view.reports,
    )


def _attempt(view: AttemptView) -> Attempt:
    ended = view.ended
    return Attempt(
        number=view.number,
        generation=view.generation,
        claimed_at=view.claimed_at,
        started_at=view.started_at,
        stop_reason=view.stop_reason,
        ended=Ended(outcome=ended.outcome, at=ended.at, reason=ended.reason, message=ended.message) if ended else None,
        observed=Observation(phase=view.phase) if ended is None else None,
    )
