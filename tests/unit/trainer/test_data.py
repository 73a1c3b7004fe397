"""A trial sees training and validation rows, never a test row."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.model_selection import train_test_split
from tests.support.trainings import TrialFolder

from tuning_trainer import data
from tuning_trainer.data import Data, Table
from tuning_trainer.settings import Settings

CPU = torch.device("cpu")


def loaded(split_seed: int = 0) -> Data:
    return data.load(Settings(split_seed=split_seed), CPU)


def with_test_rows_as(value: float) -> Table:
    """Digits, with every test row's features replaced. Finds them as `Table.split` does, by the row's number."""
    table = data._read(Settings())
    numbers = np.arange(len(table.targets))
    _, test = train_test_split(numbers, test_size=data.TEST_SHARE, random_state=data._TEST_SPLIT_SEED, stratify=table.targets)
    features = table.features.copy()
    features[test] = value
    return Table(features, table.targets)


def test_digits_are_split_into_sixty_twenty_twenty() -> None:
    training, validation, classes = loaded()
    assert (len(training), len(validation), training.width, classes) == (1077, 360, 64, 10)
    assert 1797 - len(training) - len(validation) == 360


def test_every_class_has_its_share_of_the_validation_rows() -> None:
    counts = Counter(loaded().validation.targets.tolist())
    assert set(counts) == set(range(10))
    assert max(counts.values()) - min(counts.values()) <= 2


def test_the_split_is_the_same_for_every_trial_of_a_study() -> None:
    first, second = loaded(), loaded()
    assert torch.equal(first.training.features, second.training.features)
    assert torch.equal(first.validation.targets, second.validation.targets)


def test_another_split_seed_gives_another_split_of_the_same_rows() -> None:
    first, other = loaded(split_seed=0), loaded(split_seed=1)
    assert not torch.equal(first.validation.targets, other.validation.targets)
    assert Counter(torch.cat([first.training.targets, first.validation.targets]).tolist()) == Counter(
        torch.cat([other.training.targets, other.validation.targets]).tolist()
    )


def test_training_features_have_mean_zero_and_deviation_one() -> None:
    features = loaded().training.features.double()
    varying = features.std(dim=0) > 0
    assert features.mean(dim=0).abs().max() < 1e-6
    assert (features.std(dim=0, correction=0)[varying] - 1).abs().max() < 1e-5


def test_the_scaling_knows_the_training_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    split = Table.split
    before = loaded()

    def validation_times_hundred(table: Table, *, share: float, seed: int) -> tuple[Table, Table]:
        rest, taken = split(table, share=share, seed=seed)
        return rest, Table(taken.features * 100, taken.targets) if share == data.VALIDATION_SHARE else taken

    monkeypatch.setattr(Table, "split", validation_times_hundred)
    after = loaded()
    assert torch.equal(before.training.features, after.training.features)
    assert not torch.equal(before.validation.features, after.validation.features)


def test_a_training_is_the_same_to_the_bit_when_its_test_rows_are_lost(
    trial: TrialFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trial.attempt("--epochs=2") == 0
    state = trial.final_state()
    trial.checkpoint.unlink()
    result = trial.result()

    lost = with_test_rows_as(float("nan"))
    assert np.isnan(lost.features).any(axis=1).sum() == 360
    monkeypatch.setattr(data, "_read", lambda settings: lost)
    assert trial.attempt("--epochs=2") == 0
    assert trial.result() == result
    assert torch.equal(trial.final_state()["model"]["0.weight"], state["model"]["0.weight"])
