"""Gauges of studies that have not ended."""

from __future__ import annotations

import pytest

from tuning_operator.api.status import StoppingStatus, StudyStatus
from tuning_operator.telemetry.studies import StudiesCollector, StudyFigures


@pytest.mark.parametrize(
    ("stopping", "samples"),
    [
        pytest.param(None, [], id="without a rule"),
        pytest.param(StoppingStatus(trials_since_improvement=3), [], id="of a rule that does not judge yet, or of another one"),
        pytest.param(StoppingStatus(trials_since_improvement=3, gain_per_gpu_hour=0.0, window_gpu_hours=4.0), [0.0], id="0"),
        pytest.param(StoppingStatus(trials_since_improvement=3, gain_per_trial_hour=0.5), [0.5], id="of a trial-hour"),
    ],
)
def test_the_gain_of_an_hour_is_shown(stopping: StoppingStatus | None, samples: list[float]) -> None:
    study = StudyFigures(namespace="a", name="digits", phase="Running", status=StudyStatus(stopping=stopping), max_trials=4)
    families = {family.name: family for family in StudiesCollector(lambda: [study]).collect()}
    assert [sample.value for sample in families["tuning_study_gain_per_hour"].samples] == samples
