"""What one trial runs: the container that trains, in a Pod template that passes through as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import Field
from pydantic.config import JsonDict

from tuning_operator.api.base import ApiModel, Duration
from tuning_operator.api.constants import TRAINER_CONTAINER, VARIABLE_PREFIX
from tuning_operator.api.problems import InconsistentError, Problem
from tuning_operator.api.validation import Cel, Rule

_CONTAINERS: Final = "spec.containers"


def trainer_container(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """The container of a Pod template that is the trial: the only one, or the one named ``trainer``.

    Raises:
        InconsistentError: there is no such container.
    """
    containers = [container for kind, _, container in pod_containers(template) if kind == "containers"]
    if not containers:
        raise InconsistentError([Problem(_CONTAINERS, "is empty; add the container that trains")])
    named = [container for container in containers if container.get("name") == TRAINER_CONTAINER]
    if len(containers) > 1 and not named:
        names = ", ".join(str(container.get("name")) for container in containers)
        raise InconsistentError([Problem(_CONTAINERS, f"has {names}; name the one that trains '{TRAINER_CONTAINER}'")])
    return (named or containers)[0]


def pod_containers(template: Mapping[str, Any]) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """Every container of a Pod template, with the list it stands in and its place there."""
    spec = template.get("spec")
    for kind in ("initContainers", "containers"):
        listed = spec.get(kind) if isinstance(spec, Mapping) else None
        for place, container in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(container, Mapping):
                yield kind, place, container


def template_problems(template: Mapping[str, Any]) -> Iterator[Problem]:
    """Why a Pod template is none of a trial, fields relative to it."""
    yield from _no_trainer(template)
    yield from _variables_of_ours(template)


def _no_trainer(template: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        trainer_container(template)
    except InconsistentError as error:
        yield from error.problems


def _variables_of_ours(template: Mapping[str, Any]) -> Iterator[Problem]:
    for kind, place, container in pod_containers(template):
        for index, entry in enumerate(container.get("env") or ()):
            name = str(entry.get("name", "")) if isinstance(entry, Mapping) else ""
            if name.startswith(VARIABLE_PREFIX):
                field = f"spec.{kind}[{place}].env[{index}].name"
                yield Problem(field, f"'{name}' is the operator's to set, as every {VARIABLE_PREFIX}*; use another name")


def _containers_schema(description: str, *, least: int) -> JsonDict:
    """Only what the rules look at; everything else passes through untouched."""
    variable: JsonDict = {
        "description": "A variable.",
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"description": "Not TUNING_*.", "type": "string", "maxLength": 256}},
        "x-kubernetes-preserve-unknown-fields": True,
    }
    container: JsonDict = {
        "description": "A container.",
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"description": "Its name.", "type": "string", "maxLength": 63},
            "env": {"description": "Its environment.", "type": "array", "maxItems": 256, "items": variable},
        },
        "x-kubernetes-preserve-unknown-fields": True,
    }
    return {"description": description, "type": "array", "minItems": least, "maxItems": 32, "items": container}


_POD_TEMPLATE_SCHEMA: Final[JsonDict] = {
    "required": ["spec"],
    "properties": {
        "spec": {
            "description": "A PodSpec.",
            "type": "object",
            "required": ["containers"],
            "properties": {
                "containers": _containers_schema("The only one, or the one named trainer, is the trial.", least=1),
                "initContainers": _containers_schema("Run before the trial.", least=0),
            },
            "x-kubernetes-preserve-unknown-fields": True,
        }
    },
    "x-kubernetes-preserve-unknown-fields": True,
}


class TrialTemplate(ApiModel):
    """The container that trains."""

    gpus: int = Field(default=0, ge=0, le=64, description="GPUs of one trial.")
    timeout: Duration | None = Field(default=None, description="An attempt running longer is stopped, and its trial not retried.")
    template: Mapping[str, Any] = Field(
        max_length=8, description="A PodTemplateSpec, passed on as written.", json_schema_extra=_POD_TEMPLATE_SCHEMA
    )

    RULES = (
        Rule(
            check=lambda trial: (problem.under("template") for problem in _no_trainer(trial.template)),
            cel=Cel(
                rule="self.template.spec.containers.size() == 1"
                f" || self.template.spec.containers.exists(c, c.name == '{TRAINER_CONTAINER}')",
                message=f"there are several containers; name the one that trains {TRAINER_CONTAINER}",
                field="template.spec.containers",
            ),
        ),
        Rule(
            check=lambda trial: (problem.under("template") for problem in _variables_of_ours(trial.template)),
            cel=Cel(
                rule="self.template.spec.containers.all(c, !has(c.env)"
                f" || c.env.all(e, !e.name.startsWith('{VARIABLE_PREFIX}')))"
                " && (!has(self.template.spec.initContainers) || self.template.spec.initContainers.all(c, !has(c.env)"
                f" || c.env.all(e, !e.name.startsWith('{VARIABLE_PREFIX}'))))",
                message=f"a container sets a variable {VARIABLE_PREFIX}*, which are the operator's; use another name",
                field="template.spec",
            ),
        ),
    )
