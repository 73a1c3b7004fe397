"""Values for trials that have none, for samplers that read complete trials only. Imported by the search process: needs optuna.

A model that never hears of diverged trials keeps asking for them. They are shown with the worst value that any trial
really had: a ranking needs no more, and one huge value would flatten the scale of a Gaussian process. As the worst value
sinks, so do they; the database keeps what happened. Measured in docs/decisions/0051.
"""

from __future__ import annotations

import copy
from collections.abc import Container

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from tuning_operator.api.study import Direction


class ImputingStorage(InMemoryStorage):
    """The trials of one study, some of them shown as complete with a value made up for them."""

    def __init__(self, direction: Direction) -> None:
        """Begin empty; the study's ``direction`` says which value is the worst."""
        super().__init__()
        self._worse, self._better = (min, max) if direction == "maximize" else (max, min)
        self._worst: float | None = None
        self._shown: dict[int, tuple[FrozenTrial, float | None]] = {}

    def observe(self, value: float) -> None:
        """A trial completed with this finite value."""
        self._worst = value if self._worst is None else self._worse(self._worst, value)

    def stand_in(self, trial_id: int, *, last_report: float | None = None) -> None:
        """Show this finished trial with a made-up value from now on.

        Args:
            trial_id: its id in this storage.
            last_report: what it had reached when it was pruned, finite; None for one that failed.
        """
        trial = copy.copy(self.get_trial(trial_id))
        self._shown[trial.number] = (trial, last_report)

    def impute(self) -> None:
        """Bring the made-up values up to date with what was observed. Before any value they are hidden as running trials."""
        for trial, last_report in self._shown.values():
            if self._worst is None:
                trial.state = OptunaState.RUNNING
            else:
                trial.state = OptunaState.COMPLETE
                trial.value = self._worst if last_report is None else self._better(last_report, self._worst)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,  # noqa: FBT001, FBT002 - Optuna's signature
        states: Container[OptunaState] | None = None,
    ) -> list[FrozenTrial]:
        """As Optuna's, with the made-up values."""
        if not self._shown or states == (OptunaState.WAITING,):
            return super().get_all_trials(study_id, deepcopy=deepcopy, states=states)
        trials = super().get_all_trials(study_id, deepcopy=False)
        for number, (trial, _) in self._shown.items():
            trials[number] = trial
        chosen = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen
