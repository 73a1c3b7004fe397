"""What `tuning watch` shows, and how it ends."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from rich.console import Console
from tests.support.simulated_world import SimulatedWorld
from tests.unit.people.scripted_cluster import OBJECT, PROGRESS, ScriptedCluster, fine, of_api_server, of_gateway
from tests.unit.people.studies import NAME, NAMESPACE, UID, finished, running

from tuning_operator.api.study import ObjectMeta, TuningStudy
from tuning_operator.cli.cluster import Answer, ClusterError
from tuning_operator.cli.remote import NoSuchStudyError, RemoteStudy
from tuning_operator.cli.run import ExitCode
from tuning_operator.cli.watch import StudyGoneError, watch_study
from tuning_operator.engine.facts import Outcome
from tuning_operator.engine.status import project
from tuning_operator.gateway.people_wire import document_json, head_of, trial_json

FORBIDDEN = of_api_server(403, 'User "alice" cannot get resource "services/proxy"')
NOT_READY = of_api_server(503, "no endpoints available")
NO_OBJECT = of_api_server(404, "not found")


def progress(world: SimulatedWorld, version: str, *, of: set[int] | None = None, running: bool = True) -> Answer:
    """An answer of the gateway, with all trials or with some."""
    metadata = ObjectMeta(namespace=NAMESPACE, name=NAME, uid=UID)
    head = head_of(world.facts, project(world.facts, world.now), metadata=metadata, running=running, operator_version="1")
    trials = [trial_json(trial, with_reports=False) for trial in world.facts.trials if of is None or trial.number in of]
    return fine(document_json(head.model_copy(update={"version": version, "complete": of is None}), trials))


def an_object(world: SimulatedWorld, *, uid: str = UID, status: bool = True) -> Answer:
    study = TuningStudy(
        api_version="tuningstudy.dev/v1alpha1",
        kind="TuningStudy",
        metadata=ObjectMeta(namespace=NAMESPACE, name=NAME, uid=uid),
        spec=world.spec,
        status=project(world.facts, world.now) if status else None,
    )
    return fine(json.loads(study.model_dump_json(exclude_none=True)))


@dataclass
class Watched:
    """A study in a cluster of these answers, and what was shown of it."""

    answers: dict[str, list[Answer | None]]
    token: str | None = "kubeconfig"
    shown: io.StringIO = field(default_factory=io.StringIO)
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = ScriptedCluster(answers=self.answers, given=self.token)

    def watch(self, *, once: bool = False, **console: Any) -> ExitCode:
        remote = RemoteStudy(cluster=self.cluster, namespace=NAMESPACE, name=NAME)
        screen = Console(file=self.shown, width=200, **console)
        return watch_study(remote, once=once, console=screen, pause=self.pauses.append)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.shown.getvalue().splitlines()]

    @property
    def queries(self) -> list[dict[str, str]]:
        return [dict(request.query) for request in self.cluster.asked if request.path == PROGRESS]


def on_the_way() -> tuple[SimulatedWorld, list[Answer | None]]:
    """A study that is watched from the end of its baseline on."""
    world = running()
    world.end(0, Outcome.SUCCEEDED, value=0.5)
    world.settle()
    answers: list[Answer | None] = [progress(world, "a-1")]
    world.end(1, Outcome.SUCCEEDED, value=0.75)
    world.settle()
    answers.append(progress(world, "a-2", of={1, 3}))
    world.run_to_end(lambda _: (Outcome.SUCCEEDED, 0.625))
    answers.append(progress(world, "a-3", of={2, 3, 4}))
    return world, answers


def test_every_trial_that_ends_has_a_line_and_the_result_stands_at_the_end() -> None:
    watched = Watched({PROGRESS: on_the_way()[1]})
    assert watched.watch() is ExitCode.SUCCEEDED
    trials = [line.split()[1] for line in watched.lines if line.lstrip().startswith("trial")]
    assert trials == ["1", "2", "3", "4"], "trial 0 had ended before, and stands in nobody's way"
    assert "trial   1  val_accuracy 0.75" in watched.shown.getvalue()
    assert any(line.startswith("Succeeded: 4 search trials") for line in watched.lines)


def test_only_what_has_changed_is_asked_for_and_waited_for() -> None:
    watched = Watched({PROGRESS: on_the_way()[1]})
    watched.watch()
    assert watched.queries == [
        {"uid": "", "after": "", "wait": "0"},
        {"uid": UID, "after": "a-1", "wait": "15"},
        {"uid": UID, "after": "a-2", "wait": "15"},
    ]
    assert watched.pauses == []


def test_on_a_terminal_a_panel_lives_while_the_study_does() -> None:
    watched = Watched({PROGRESS: on_the_way()[1]})
    assert watched.watch(force_terminal=True) is ExitCode.SUCCEEDED
    assert f"study {NAMESPACE}/{NAME}" in watched.shown.getvalue()
    assert "4/4 told, 0 running" in watched.shown.getvalue()


def test_once_shows_the_study_as_it_is_and_ends() -> None:
    watched = Watched({PROGRESS: on_the_way()[1][:1]})
    assert watched.watch(once=True) is ExitCode.SUCCEEDED
    assert len(watched.cluster.asked) == 1
    assert "0/4 told, 2 running" in watched.shown.getvalue()
    assert any(line.startswith("trials ") for line in watched.lines)
    assert any(line.startswith("search") for line in watched.lines), "the bar has a line of its own"


@pytest.mark.parametrize("once", [True, False])
def test_a_finished_study_is_shown_and_not_waited_for(*, once: bool) -> None:
    watched = Watched({PROGRESS: [progress(finished(), "a-1")]})
    assert watched.watch(once=once) is ExitCode.SUCCEEDED
    assert len(watched.cluster.asked) == 1


def failed() -> SimulatedWorld:
    world = running(retry={"failures": 0})
    world.run_to_end(lambda _: (Outcome.INFEASIBLE, None))
    return world


def suspended() -> SimulatedWorld:
    world = running()
    world.edit(world.spec.model_copy(update={"suspend": True}))
    return world


@pytest.mark.parametrize(
    ("world", "code"),
    [
        pytest.param(running(), ExitCode.SUCCEEDED, id="one that goes on is no failure"),
        pytest.param(finished(), ExitCode.SUCCEEDED, id="succeeded"),
        pytest.param(failed(), ExitCode.FAILED, id="failed"),
        pytest.param(suspended(), ExitCode.STALLED, id="suspended"),
    ],
)
def test_once_ends_as_the_study_stands(world: SimulatedWorld, code: ExitCode) -> None:
    assert Watched({PROGRESS: [progress(world, "a-1")]}).watch(once=True) is code


@pytest.mark.parametrize(
    ("reason", "token", "sentence"),
    [
        pytest.param(FORBIDDEN, "kubeconfig", "ask to be bound to the Role of: kubectl create role", id="no right to the proxy"),
        pytest.param(of_api_server(404, "not found"), "kubeconfig", "the operator is not installed", id="no operator"),
        pytest.param(of_gateway(404, "nothing at", version=None), "kubeconfig", "older than this command", id="an old operator"),
        pytest.param(of_gateway(401, "not valid"), "kubeconfig", "does not accept the token", id="a refused token"),
        pytest.param(FORBIDDEN, None, "kubectl create token SERVICEACCOUNT", id="a client certificate alone"),
    ],
)
def test_who_cannot_reach_the_gateway_sees_what_the_object_says(reason: Answer, token: str | None, sentence: str) -> None:
    world = on_the_way()[0]
    early = running()
    watched = Watched({PROGRESS: [reason], OBJECT: [an_object(early), an_object(early), an_object(world)]}, token=token)
    assert watched.watch() is ExitCode.SUCCEEDED
    assert sentence in " ".join(watched.lines)
    assert sum("Not all of the study can be seen" in line for line in watched.lines) == 1
    assert [line for line in watched.lines if line.startswith("Running")] == ["Running: 0/4 trials told"]
    assert any(line.startswith("Succeeded: 4 search trials") for line in watched.lines)
    assert len(watched.queries) == (0 if token is None else 1), "what will not change is not asked for again"
    assert watched.pauses == [5.0, 5.0]


def test_the_panel_of_an_object_counts_by_its_status() -> None:
    world = running()
    world.end(0, Outcome.SUCCEEDED, value=0.5)
    world.settle()
    watched = Watched({PROGRESS: [FORBIDDEN], OBJECT: [an_object(world)]})
    watched.watch(once=True)
    assert "0/4 told, 2 running" in watched.shown.getvalue()


def test_a_study_that_nobody_has_looked_at_is_shown() -> None:
    watched = Watched({PROGRESS: [of_gateway(404, "no study")], OBJECT: [an_object(running(), status=False)]})
    assert watched.watch(once=True) is ExitCode.SUCCEEDED
    assert any(line.startswith("Pending:") for line in watched.lines)


def test_an_operator_that_is_away_for_a_while_is_waited_for() -> None:
    _, answers = on_the_way()
    watched = Watched({PROGRESS: [answers[0], NOT_READY, NOT_READY, *answers[1:]], OBJECT: [an_object(running())]})
    assert watched.watch() is ExitCode.SUCCEEDED
    assert sum("the operator does not answer" in line for line in watched.lines) == 1
    trials = [line.split()[1] for line in watched.lines if line.lstrip().startswith("trial")]
    assert trials == ["1", "2", "3", "4"]


def test_an_api_server_that_is_away_for_a_while_is_waited_for() -> None:
    _, answers = on_the_way()
    watched = Watched({PROGRESS: [answers[0], None, None, *answers[1:]]})
    assert watched.watch() is ExitCode.SUCCEEDED
    assert sum("the API server does not answer" in line for line in watched.lines) == 1
    assert watched.pauses == [5.0, 5.0]


def test_an_operator_that_has_started_anew_tells_every_trial_and_none_twice() -> None:
    world, answers = on_the_way()
    watched = Watched({PROGRESS: [answers[0], answers[1], progress(world, "b-1")]})
    watched.watch()
    trials = [line.split()[1] for line in watched.lines if line.lstrip().startswith("trial")]
    assert trials == ["1", "2", "3", "4"]


def refused(watched: Watched) -> ClusterError:
    with pytest.raises(ClusterError) as error:
        watched.watch()
    return error.value


def test_an_unknown_study_is_told() -> None:
    error = refused(Watched({PROGRESS: [of_gateway(404, "no study")], OBJECT: [NO_OBJECT]}))
    assert type(error) is NoSuchStudyError


def test_who_may_see_nothing_learns_both_reasons() -> None:
    error = refused(Watched({PROGRESS: [FORBIDDEN], OBJECT: [of_api_server(403, 'User "alice" cannot get "tuningstudies"')]}))
    assert "services/proxy" in str(error)
    assert "tuningstudies" in str(error)


def test_an_api_server_that_does_not_answer_at_first_is_told() -> None:
    assert str(refused(Watched({PROGRESS: [None]}))) == "the API server does not answer"


@pytest.mark.parametrize(
    ("then", "sentence"),
    [
        pytest.param(NO_OBJECT, f"study {NAME} was deleted before it was finished", id="deleted"),
        pytest.param(an_object(running(), uid="another"), "was deleted and created again", id="created again"),
    ],
)
def test_a_study_that_is_deleted_is_not_waited_for(then: Answer, sentence: str) -> None:
    world = running()
    watched = Watched({PROGRESS: [progress(world, "a-1"), progress(world, "a-2", running=False)], OBJECT: [then]})
    error = refused(watched)
    assert type(error) is StudyGoneError
    assert sentence in str(error)
    assert str(error).endswith(f"tuning report {NAME} --namespace={NAMESPACE} --uid={UID}")


def test_a_study_that_is_deleted_while_only_its_object_is_seen_is_not_waited_for() -> None:
    assert type(refused(Watched({PROGRESS: [FORBIDDEN], OBJECT: [an_object(running()), NO_OBJECT]}))) is StudyGoneError


def test_a_study_that_a_restarted_operator_has_yet_to_take_up_is_waited_for() -> None:
    world, answers = on_the_way()
    watched = Watched(
        {PROGRESS: [answers[0], progress(running(), "a-1", running=False), *answers[1:]], OBJECT: [an_object(world)]}
    )
    assert watched.watch() is ExitCode.SUCCEEDED
