"""A team of researchers: a namespace with studies, and what becomes of their trials."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from optuna.trial import FrozenTrial
from tests.cluster.waiting import until
from tests.integration.kubernetes.simulated_kubelet import SimulatedKubelet
from tests.support.kubernetes import AbsentError
from tests.support.namespaces import Namespace
from tests.support.stored_studies import stock_optuna
from tests.unit.api.manifests import changed

Document = dict[str, Any]
Attempt = tuple[int, int]

PATIENCE: Final = 60.0
NAME: Final = "digits"
OURS: Final = "app.kubernetes.io/managed-by=tuning-operator"
_TERMINAL: Final = ("Succeeded", "Failed")


def study(name: str = NAME, **changes: Any) -> Document:
    """A study of few trials without a baseline; fields of the spec are set by their paths, a __ for each dot."""
    settings = {
        "metadata.name": name,
        "spec.search.sampler": "random",
        "spec.baseline.repeats": 0,
        "spec.budget": {"maxTrials": 2, "parallelism": 2},
    }
    return changed(settings | {f"spec.{path.replace('__', '.')}": value for path, value in changes.items()})


def result(value: float) -> str:
    """A termination message."""
    return json.dumps({"val_accuracy": value})


@dataclass(frozen=True)
class Team:
    """A namespace of its own, and the node on which its Pods run."""

    space: Namespace
    kubelet: SimulatedKubelet

    # Studies

    def apply(self, document: Document) -> None:
        """kubectl apply."""
        self.space.kubectl("apply", "--filename=-", stdin=json.dumps(document))

    def patch(self, spec: Document, name: str = NAME) -> None:
        """Edit some fields of a study's spec."""
        self.space.kubectl("patch", "tuningstudy", name, "--type=merge", f"--patch={json.dumps({'spec': spec})}")

    def delete(self, name: str = NAME) -> None:
        """Delete a study, and wait until the object is gone."""
        self.space.kubectl("delete", "tuningstudy", name)

    def study(self, name: str = NAME) -> Document:
        """The object."""
        return self.space.server.request("GET", self._path("apis/tuningstudy.dev/v1alpha1", f"tuningstudies/{name}"))

    def status(self, name: str = NAME) -> Document:
        """Its status; empty before it has one."""
        return dict(self.study(name).get("status", {}))

    def condition(self, kind: str, name: str = NAME) -> tuple[str, str, str]:
        """Status, reason and message of a condition."""
        found = {each["type"]: each for each in self.status(name).get("conditions", ())}
        each = found.get(kind, {})
        return each.get("status", ""), each.get("reason", ""), each.get("message", "")

    def wait_condition(self, kind: str, status: str, reason: str, name: str = NAME) -> str:
        """Wait until a condition is so. Returns its message."""
        until(
            lambda: self.condition(kind, name)[:2] == (status, reason),
            seconds=PATIENCE,
            what=f"{name} is {kind}={status} {reason}",
        )
        return self.condition(kind, name)[2]

    def wait_counts(self, name: str = NAME, **counts: Any) -> None:
        """Wait until status.trials says so."""
        until(
            lambda: self.status(name).get("trials", {}).items() >= counts.items(), seconds=PATIENCE, what=f"{name} has {counts}"
        )

    def wait_events(self, *reasons: str, name: str = NAME) -> None:
        """Wait until just these Events have been posted, each once: an Event follows the status that it is about."""
        try:
            until(lambda: self.events(name) == [*reasons], seconds=PATIENCE, what=f"{name} has the Events {reasons}")
        except TimeoutError as error:
            error.add_note(f"it has {self.events(name)}")
            raise

    def events(self, name: str = NAME) -> list[str]:
        """Reasons of the Events about a study, in order."""
        found = self.space.server.request("GET", self._path("api/v1", "events"))["items"]
        about = [event for event in found if event["involvedObject"]["name"] == name]
        return [event["reason"] for event in sorted(about, key=lambda event: int(event["metadata"]["resourceVersion"]))]

    # Trials

    def jobs(self) -> list[Document]:
        """Jobs of all trials."""
        path = self._path("apis/batch/v1", f"jobs?labelSelector={OURS}")
        return list(self.space.server.request("GET", path)["items"])

    def pods(self, name: str | None = None) -> dict[Attempt, str]:
        """Names of the trials' Pods that have not ended and are not being deleted, by trial and attempt."""
        return {attempt_of(pod): pod["metadata"]["name"] for pod in self._pods(name) if not _leaves(pod)}

    def pods_left(self) -> list[Document]:
        """The trials' Pods, also those that have ended or are being deleted."""
        return self._pods()

    def wait_pods(self, *attempts: Attempt, name: str | None = None) -> list[str]:
        """Wait until just these attempts have Pods. Returns their names."""
        until(lambda: self.pods(name).keys() == set(attempts), seconds=PATIENCE, what=f"Pods of {attempts}")
        pods = self.pods(name)
        return [pods[attempt] for attempt in attempts]

    def run(self, *attempts: Attempt) -> list[str]:
        """Wait until just these attempts have Pods, and let them run. Returns their names."""
        pods = self.wait_pods(*attempts)
        for pod in pods:
            self.kubelet.run(self.space.name, pod)
        return pods

    def end(self, pod: str, code: int = 0, message: str = "") -> None:
        """End the containers of a Pod."""
        self.kubelet.end(self.space.name, pod, code, message=message)

    def obey(self, done: Callable[[], bool], *, what: str) -> None:
        """Be a node that only ends what is deleted, until it is done."""

        def step() -> bool:
            self.kubelet.obey(self.space.name)
            return done()

        until(step, seconds=PATIENCE, what=what)

    def obey_until_nothing_is_left(self) -> None:
        """Be such a node until all Jobs and Pods are gone."""
        self.obey(lambda: not self.jobs() and not self.pods_left(), what="Jobs and Pods are gone")

    def work(self, done: Callable[[], bool], *, what: str, value: Callable[[int], float] = float) -> None:
        """Be a busy node until it is done: each trial gets its place, runs, and gives the value of its number."""

        def step() -> bool:
            self.kubelet.obey(self.space.name)
            for pod in self._pods():
                with suppress(AbsentError):  # it is deleted meanwhile
                    self._advance(pod, value)
            return done()

        until(step, seconds=PATIENCE, what=what)

    def work_until_finished(self, name: str = NAME, value: Callable[[int], float] = float) -> Document:
        """Be a busy node until a study is finished. Returns its status."""
        finished = partial(self.condition, "Finished", name)
        self.work(lambda: finished()[0] == "True", what=f"{name} is finished", value=value)
        return self.status(name)

    def _advance(self, pod: Document, value: Callable[[int], float]) -> None:
        if _leaves(pod):
            return
        if "nodeName" in pod["spec"]:
            self.end(pod["metadata"]["name"], message=result(value(attempt_of(pod)[0])))
        else:
            self.kubelet.run(self.space.name, pod["metadata"]["name"])

    def _pods(self, name: str | None = None) -> list[Document]:
        selector = f"{OURS},tuningstudy.dev/study={name}" if name else OURS
        path = self._path("api/v1", f"pods?labelSelector={selector}")
        return list(self.space.server.request("GET", path)["items"])

    def _path(self, group: str, rest: str) -> str:
        return f"/{group}/namespaces/{self.space.name}/{rest}"


def attempt_of(found: Mapping[str, Any]) -> Attempt:
    """Which attempt a Job or a Pod is."""
    labels = found["metadata"]["labels"]
    return int(labels["tuningstudy.dev/trial"]), int(labels["tuningstudy.dev/attempt"])


def _leaves(pod: Document) -> bool:
    return pod["status"].get("phase") in _TERMINAL or "deletionTimestamp" in pod["metadata"]


def stored_trials(url: str, study_name: str) -> list[FrozenTrial]:
    """The trials of a study, as stock Optuna reads them."""
    storage = stock_optuna(url)
    try:
        return storage.get_all_trials(storage.get_study_id_from_name(study_name))
    finally:
        storage.remove_session()
