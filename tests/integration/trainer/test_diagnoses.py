"""Diagnoses of real trainings: each is provoked, and healthy ones have none.

A few seeds of each; `bench/diagnosis.py` has ten of each provocation and five of each healthy training.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.provocations import HEALTHY, PROVOCATIONS, names, run


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("name", "flags"), PROVOCATIONS.items(), ids=PROVOCATIONS.keys())
def test_a_training_that_is_made_to_fail_is_diagnosed(tmp_path: Path, name: str, flags: str, seed: int) -> None:
    result = run(tmp_path, flags, seed=seed)
    assert name in names(result)
    figure = next(diagnosis["figure"] for diagnosis in result["diagnoses"] if diagnosis["name"] == name)
    assert figure is not None


@pytest.mark.parametrize("flags", HEALTHY.values(), ids=HEALTHY.keys())
def test_a_healthy_training_has_no_diagnosis(tmp_path: Path, flags: str) -> None:
    assert names(run(tmp_path, flags, seed=0)) == []


@pytest.mark.parametrize("name", ["diverged", "out-of-memory"])
def test_a_training_without_a_figure_names_its_failure_first(tmp_path: Path, name: str) -> None:
    flags = PROVOCATIONS[name]
    result = run(tmp_path, flags, seed=0)
    assert names(result)[0] == name
    assert result["val_rmse" if "diabetes" in flags else "val_accuracy"] == "nan"
