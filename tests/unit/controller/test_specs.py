"""Which spec of a study holds, and which edit comes too late."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.stored_studies import fresh_trial
from tests.support.studies import LEARNING_RATE, study_spec
from tests.unit.controller.studies import KEY, SPEC, study
from tests.unit.kubernetes.objects import job

from tuning_operator.api.problems import ManifestError
from tuning_operator.api.study import StudySpec
from tuning_operator.controller.cluster_studies import Closed, ClusterStudies, Settings
from tuning_operator.controller.cluster_study import Cluster, changed, invalid, spec_of
from tuning_operator.controller.objects import StudyObjects
from tuning_operator.controller.specs import refused_changes, settle
from tuning_operator.engine.facts import SamplerChoice, Trial, TrialState
from tuning_operator.runtime.kubernetes.cache import ClusterCache, Kind
from tuning_operator.store.ledger import Ledger

RUNNING: Trial = fresh_trial(0, parameters={"learning_rate": 0.001})
FAILED: Trial = replace(RUNNING, state=TrialState.FAIL, finished_at=RUNNING.claimed_at + 60)

MINIMIZE = {"objectives": [{"metric": "val_accuracy", "direction": "minimize"}]}
TARGET = {"objectives": [{"metric": "val_accuracy", "direction": "maximize", "target": 0.9}]}
METRIC = {"objectives": [{"metric": "val_f1", "direction": "maximize"}]}
IMAGE = {"trial": {"template": {"spec": {"containers": [{"name": "trainer", "image": "tuning-trainer:fixed"}]}}}}
SPACE = {"parameters": [LEARNING_RATE, {"name": "momentum", "float": {"min": 0.0, "max": 0.9, "default": 0.5}}]}
BUDGET = {"budget": {"maxTrials": 8, "parallelism": 4}}
SAMPLER = {"search": {"sampler": "random"}}
SUSPEND = {"suspend": True}


# Edits


@pytest.mark.parametrize(
    ("change", "trials", "fields"),
    [
        pytest.param({}, (FAILED,), [], id="nothing changed"),
        pytest.param(SPACE, (), [], id="before the first trial the space is open"),
        pytest.param(SAMPLER | METRIC | IMAGE, (), [], id="and so is nearly everything"),
        pytest.param(MINIMIZE, (), ["spec.objectives[0].direction"], id="but not the direction, which the database knows"),
        pytest.param(SPACE, (RUNNING,), ["spec.parameters"], id="from the first trial on the space stands"),
        pytest.param(SAMPLER, (RUNNING,), ["spec.search.sampler"], id="and the sampler"),
        pytest.param(TARGET, (RUNNING,), ["spec.objectives[0].target"], id="and the objective"),
        pytest.param(IMAGE, (RUNNING,), [], id="a container may be mended until it gave a result"),
        pytest.param(IMAGE, (RUNNING, FAILED), ["spec.trial.template.spec.containers[trainer].image"], id="not after that"),
        pytest.param(BUDGET | SUSPEND, (FAILED,), [], id="the budget and suspend may change at any time"),
    ],
)
def test_what_would_mix_incomparable_results_is_refused(
    change: dict[str, Any], trials: tuple[Trial, ...], fields: list[str]
) -> None:
    refused = refused_changes(study_spec(), study_spec(**change), trials)
    assert len(refused) == len(fields)
    assert all(sentence.startswith(field) for sentence, field in zip(refused, fields, strict=True)), refused


def test_a_study_says_all_that_was_changed_too_late_in_one_cause() -> None:
    [cause] = changed(study_spec(), study_spec(**SAMPLER, **MINIMIZE), (FAILED,))
    assert (cause.reason, cause.passing) == ("SpecChanged", False)
    assert "spec.objectives[0].direction: changed from 'maximize' to 'minimize'" in cause.message
    assert "; spec.search.sampler: changed from 'auto' to 'random'" in cause.message
    assert changed(study_spec(), study_spec(**BUDGET), (FAILED,)) == ()


# What is stored


@dataclass
class Shelf:
    """What of a ledger keeps the spec and the choice."""

    specs: list[StudySpec] = field(default_factory=list)
    choices: list[SamplerChoice] = field(default_factory=list)

    def save_spec(self, spec_json: str) -> None:
        self.specs.append(StudySpec.model_validate_json(spec_json))

    def save_choice(self, choice: SamplerChoice) -> None:
        self.choices.append(choice)


OLD = SamplerChoice(sampler="tpe", reason="of an earlier release")
RANDOM = study_spec(**SAMPLER)


@pytest.mark.parametrize(
    ("before", "spec", "choice", "trials", "sampler", "saved"),
    [
        pytest.param(RANDOM, RANDOM, None, (), "random", (0, 1), id="a new study gets its sampler"),
        pytest.param(study_spec(), RANDOM, OLD, (), "random", (1, 1), id="an edit before the first trial resolves it again"),
        pytest.param(study_spec(), study_spec(**BUDGET), OLD, (RUNNING,), "tpe", (1, 0), id="from the first trial on it stands"),
        pytest.param(RANDOM, RANDOM, OLD, (RUNNING,), "tpe", (0, 0), id="what is stored is not stored again"),
        pytest.param(RANDOM, RANDOM, None, (RUNNING,), "random", (0, 1), id="one that is missing is made good"),
    ],
)
def test_the_sampler_is_resolved_once(
    *,
    before: StudySpec,
    spec: StudySpec,
    choice: SamplerChoice | None,
    trials: tuple[Trial, ...],
    sampler: str,
    saved: tuple[int, int],
) -> None:
    shelf = Shelf()
    resolved = settle(cast("Ledger", shelf), before, spec, choice=choice, trials=trials)
    assert resolved.sampler == sampler
    assert (len(shelf.specs), len(shelf.choices)) == saved
    assert all(kept == spec for kept in shelf.specs)
    assert all(kept == resolved for kept in shelf.choices)


def test_a_choice_that_is_the_same_again_is_not_stored_again() -> None:
    shelf = Shelf()
    first = settle(cast("Ledger", shelf), RANDOM, RANDOM, choice=None, trials=())
    assert settle(cast("Ledger", shelf), RANDOM, RANDOM, choice=first, trials=()) == first
    assert len(shelf.choices) == 1


# What an object says


def with_gpus(stated: int, *, asked: int) -> dict[str, Any]:
    container = {"name": "trainer", "image": "trainer:1", "resources": {"limits": {"nvidia.com/gpu": asked}}}
    return study(spec=SPEC | {"trial": {"gpus": stated, "template": {"spec": {"containers": [container]}}}})


@pytest.mark.parametrize(("stated", "asked", "gpus"), [(0, 2, 2), (4, 2, 4), (2, 2, 2), (1, 0, 1)])
def test_the_gpus_of_a_trial_are_those_that_its_pod_asks_for_or_more(stated: int, asked: int, gpus: int) -> None:
    assert spec_of(with_gpus(stated, asked=asked)).trial.gpus == gpus


def test_what_the_api_server_cannot_refuse_is_a_cause_that_names_field_value_and_remedy() -> None:
    wrong = study(spec=SPEC | {"trial": {"template": {"spec": {"containers": []}}}, "budget": {"maxTrials": 0}})
    with pytest.raises(ManifestError) as caught:
        spec_of(wrong)
    cause = invalid(caught.value)
    assert cause.reason == "InvalidSpec"
    assert cause.message == (
        "spec.budget.maxTrials: 0 is below 1; make it at least 1; "
        "spec.trial.template.spec.containers: is empty; add the container that trains"
    )


# Which studies need not be opened

WON = {"phase": "Succeeded", "observedGeneration": 1}
ENDED = study(status=WON)


def a_status(**changes: Any) -> dict[str, Any]:
    return study(status=WON | changes)


def closed(
    raw: dict[str, Any], *, unfinished: bool = False, has_job: bool = False, here: int | None = None, until: float = math.inf
) -> bool:
    """Whether there is nothing to do for a study.

    Args:
        unfinished: the database has something to tell of it.
        has_job: the cluster has something of it.
        here: generation at which it was closed in this process.
        until: when it is to be deleted; it is 0 o'clock.
    """
    cache = ClusterCache()
    if has_job:
        cache.apply(Kind.JOB, job())
    cluster = Cluster(api=cast("Any", None), objects=StudyObjects(), clock=lambda: 0.0)
    nothing = cast("Any", None)
    runtime = cast("Any", SimpleNamespace(cache=cache))
    settings = Settings(cluster_uid="cluster", gateway_url="http://gateway")
    studies = ClusterStudies(cluster, runtime=runtime, database=nothing, searcher=nothing, settings=settings)
    if unfinished:
        studies._unfinished = frozenset([KEY])
    if here is not None:
        studies._closed[KEY] = Closed(generation=here, until=until)
    return studies._is_closed(KEY, raw)


@pytest.mark.parametrize(
    ("raw", "world", "is_closed"),
    [
        pytest.param(ENDED, {}, True, id="an ended study of which nothing is left"),
        pytest.param(a_status(phase="Failed"), {}, True, id="a failed one, too"),
        pytest.param(study(), {}, False, id="a study without a status"),
        pytest.param(a_status(phase="Running"), {}, False, id="one that runs"),
        pytest.param(a_status(phase="Fine"), {}, False, id="one whose status somebody else wrote"),
        pytest.param(study(status=WON, generation=2), {}, False, id="one that was edited after its end"),
        pytest.param(ENDED, {"unfinished": True}, False, id="one whose end the database does not know"),
        pytest.param(ENDED, {"has_job": True}, False, id="one that has a Job which is not let go of"),
        pytest.param(study(status=WON, spec=SPEC | {"ttlSecondsAfterFinished": 60}), {}, False, id="one to be deleted some time"),
        pytest.param(
            study(status=WON, spec=SPEC | {"ttlSecondsAfterFinished": 60}), {"here": 1}, True, id="unless that was done here"
        ),
        pytest.param(
            study(status=WON, spec=SPEC | {"ttlSecondsAfterFinished": 60}),
            {"here": 1, "until": 0.0},
            False,
            id="until its time has come",
        ),
        pytest.param(
            study(status=WON | {"observedGeneration": 2}, generation=2), {"here": 1, "unfinished": True}, False, id="edited since"
        ),
    ],
)
def test_a_study_is_closed_once_there_is_nothing_to_do_for_it(
    raw: dict[str, Any], world: dict[str, Any], *, is_closed: bool
) -> None:
    assert closed(raw, **world) is is_closed
