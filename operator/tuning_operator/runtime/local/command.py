"""The process that stands for a study's container on this machine. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tuning_operator.api.constants import TRAINER_IMAGE
from tuning_operator.api.contract import expand
from tuning_operator.api.problems import ManifestError, Problem
from tuning_operator.api.study import TrialTemplate, trainer_container

_FIELD = "spec.trial.template.spec.containers"


@dataclass(frozen=True, kw_only=True)
class LocalCommand:
    """A container as a process: its command with placeholders, and the environment that its manifest adds."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: str | None

    def resolve(self, contract: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
        """The command and the environment of one attempt, `$(NAME)` expanded as Kubernetes does.

        The contract's variables come first, so that the manifest's own may refer to them.
        """
        environment = dict(contract)
        for name, value in self.environment.items():
            environment[name] = expand([value], environment)[0]
        return expand(self.argv, environment), environment


def local_command(trial: TrialTemplate) -> LocalCommand:
    """The process for the template's trainer container.

    Raises:
        ManifestError: the container needs something that only a cluster has.
    """
    container = trainer_container(trial.template)
    return LocalCommand(
        argv=(*_command(container), *_words(container, "args")),
        environment=dict(_variable(entry, index) for index, entry in enumerate(_environment(container))),
        cwd=container.get("workingDir"),
    )


def is_trainer_image(image: str) -> bool:
    """Whether an image reference names this distribution's trainer, whatever its registry, tag or digest."""
    name = image.partition("@")[0].rpartition("/")[2]
    return name.partition(":")[0] == TRAINER_IMAGE


def _command(container: Mapping[str, Any]) -> tuple[str, ...]:
    command = _words(container, "command")
    if command:
        return command
    image = str(container.get("image", ""))
    if is_trainer_image(image):
        return (sys.executable, "-m", "tuning_trainer")
    raise _refused(
        "command",
        f"is not set, and a process of this machine cannot know what image {image!r} would run; "
        "set command, or apply the study to a cluster",
    )


def _words(container: Mapping[str, Any], field: str) -> tuple[str, ...]:
    words = container.get(field) or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        written = ", ".join(str(word) for word in words) if isinstance(words, list) else ", ".join(str(words).split())
        raise _refused(field, f"is {words!r}; write a list of texts, such as [{written}] with each number in quotes")
    return tuple(words)


def _environment(container: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if container.get("envFrom"):
        raise _refused("envFrom", "needs a cluster; set env with plain values, or apply the study to a cluster")
    return list(container.get("env") or [])


def _variable(entry: Mapping[str, Any], index: int) -> tuple[str, str]:
    if "valueFrom" in entry:
        raise _refused(f"env[{index}].valueFrom", "needs a cluster; set value, or apply the study to a cluster")
    value = entry.get("value", "")
    if not isinstance(value, str):
        raise _refused(f"env[{index}].value", f"is {value!r}, not text; put it in quotes")
    return str(entry["name"]), value


def _refused(field: str, message: str) -> ManifestError:
    return ManifestError([Problem(f"{_FIELD}[trainer].{field}", message)])
