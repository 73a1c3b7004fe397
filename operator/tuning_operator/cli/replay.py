"""`tuning replay`: ask the search again, in the order of the log, and compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuning_operator.api.study import StudySpec, TuningStudy
from tuning_operator.cli.directory import StudyDirectory, local_identity
from tuning_operator.engine.facts import Role
from tuning_operator.search.problem import problem_of
from tuning_operator.search.replay import Difference, replay
from tuning_operator.store.database import Database


class NothingToReplayError(Exception):
    """The directory holds no study."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a replay found."""

    asks: int
    difference: Difference | None


def replay_directory(root: Path) -> Replayed:
    """Replay the study of a directory.

    Raises:
        NothingToReplayError: there is none.
        StoreError: its database cannot be read.
    """
    directory = StudyDirectory(root)
    if not directory.manifest_file.exists() or not directory.database_file.exists():
        raise NothingToReplayError(f"{root} holds no study; name the directory that `tuning run` wrote with --output")
    study = TuningStudy.model_validate_json(directory.manifest_file.read_text(encoding="utf-8"))
    identity = local_identity(study.metadata.namespace, study.metadata.name)
    database = Database.connect(directory.database_url)
    try:
        stored = database.read(identity)
        events = database.events(identity)
    finally:
        database.close()
    if stored is None or stored.choice is None:
        raise NothingToReplayError(f"{root} holds no study named {study.metadata.name}; it has asked for nothing yet")
    spec = StudySpec.model_validate_json(stored.spec_json)
    problem = problem_of(identity.study_name, spec, stored.choice.sampler)
    asks = sum(trial.role is Role.SEARCH for trial in stored.trials)
    return Replayed(asks=asks, difference=replay(problem, events, stored.trials))
