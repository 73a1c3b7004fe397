"""A study as JSON, there and back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.people.studies import NAME, NAMESPACE, UID, finished, running

from tuning_operator.api.diagnoses import Diagnosis
from tuning_operator.api.study import ObjectMeta
from tuning_operator.engine.facts import Observation, Outcome, Phase, StudyFacts, Trial
from tuning_operator.engine.status import project
from tuning_operator.gateway.people_wire import StudyDocument, document_json, facts_of, head_of, trial_json


def written(facts: StudyFacts, *, with_reports: bool = True) -> bytes:
    metadata = ObjectMeta(namespace=NAMESPACE, name=NAME, uid=UID)
    head = head_of(facts, project(facts, 2_000.0), metadata=metadata, running=True, operator_version="1.2.3")
    return document_json(head, (trial_json(trial, with_reports=with_reports) for trial in facts.trials))


def read(body: bytes) -> StudyFacts:
    document = StudyDocument.model_validate_json(body)
    return facts_of(document.study.spec, document)


def shown(trial: Trial) -> Trial:
    """What people see of a trial: not how it was sampled and observed."""
    attempts = tuple(
        replace(
            attempt,
            observed=None if attempt.ended else Observation(phase=attempt.observed.phase if attempt.observed else Phase.PENDING),
            ended=attempt.ended and replace(attempt.ended, metrics={}, pruned=False, placed_at=None),
            last_step=-1,
        )
        for attempt in trial.attempts
    )
    return replace(trial, attempts=attempts, sampler_state={})


def test_a_study_survives_the_way_there_and_back() -> None:
    world = running()
    world.report(0, 0, 0.25)
    world.end(0, Outcome.DISRUPTED)
    world.settle()
    assert read(written(world.facts)).trials == tuple(shown(trial) for trial in world.facts.trials)
    world = finished()
    diagnosed = replace(world.facts.trial(0), diagnoses=(Diagnosis(name="diverged", advice="train less", figure=math.inf),))
    world.facts = world.facts.with_trial(diagnosed)
    assert read(written(world.facts)).trials == tuple(shown(trial) for trial in world.facts.trials)


def test_the_head_says_what_the_study_is_and_how_it_stands() -> None:
    facts = finished().facts
    document = StudyDocument.model_validate_json(written(facts))
    assert (document.study.metadata.uid, document.study.spec) == (UID, facts.spec)
    assert document.study.status == project(facts, 2_000.0)
    assert (document.operator_version, document.began_at, document.running) == ("1.2.3", facts.began_at, True)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e-300, 0.1])
def test_a_number_that_json_lacks_survives(value: float) -> None:
    world = running()
    world.report(0, 3, value)
    body = written(world.facts)
    json.loads(body, parse_constant=pytest.fail)
    assert repr(read(body).trial(0).reports[3]) == repr(value)


def test_reports_can_be_left_out() -> None:
    world = running()
    world.report(0, 3, 0.5)
    assert read(written(world.facts, with_reports=False)).trial(0).reports == {}


def test_last_words_that_utf8_cannot_hold_are_told_as_far_as_they_can() -> None:
    facts = running().facts
    facts = facts.with_trial(replace(facts.trial(0), message="lone \udc80 half\0"))
    assert read(written(facts)).trial(0).message == "lone ? half\0"


def test_a_newer_operator_may_say_more() -> None:
    document: dict[str, Any] = json.loads(written(finished().facts))
    document["mood"] = document["trials"][0]["mood"] = document["trials"][0]["attempts"][0]["mood"] = "good"
    assert read(json.dumps(document).encode()) == read(written(finished().facts))
