"""A saved model answers for raw rows in any process, and a folder that holds none is refused by name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import nn

import tuning_trainer
from tuning_trainer import data, models, saved_model
from tuning_trainer.saved_model import SavedModelRefusedError
from tuning_trainer.settings import Settings

CPU = torch.device("cpu")
METRICS = {"test_accuracy": 0.975}


def save(folder: Path, **told: Any) -> tuple[nn.Module, data.Fold]:
    settings = Settings(**{"hidden_units": 8, **told})
    fold = data.load_search(settings).fold(0, CPU)
    torch.manual_seed(1)
    model = models.build(settings, fold.problem)
    saved_model.save(
        folder,
        model,
        settings=settings,
        problem=fold.problem,
        preparation_state=fold.preparation.state(),
        target_scale=fold.target_scale,
        metrics=METRICS,
    )
    return model.eval(), fold


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "output" / "model"


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"model": "linear"}, id="linear"),
        pytest.param(
            {"model": "mlp", "normalization": "batch", "layers": 3, "residual": "on"}, id="an MLP with running statistics"
        ),
        pytest.param({"model": "cnn", "layers": 2}, id="a CNN"),
        pytest.param({"model": "transformer", "scaling": "robust"}, id="a transformer"),
    ],
)
def test_a_loaded_model_answers_for_raw_rows_as_the_trained_one_did(folder: Path, told: dict[str, Any]) -> None:
    model, fold = save(folder, **told)
    raw = load_digits().data[:300]
    loaded = tuning_trainer.load(folder)
    with torch.inference_mode():
        logits = model(torch.from_numpy(fold.preparation.apply(raw)))
    assert loaded.predict(raw).tolist() == [str(number) for number in logits.argmax(dim=1).tolist()]
    np.testing.assert_allclose(loaded.predict_proba(raw), logits.softmax(dim=1).numpy(), rtol=1e-6)
    assert loaded.metrics == METRICS
    assert loaded.settings.model == told["model"]


def test_what_a_killed_process_left_is_gone_once_the_model_is_whole(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "model.safetensors.pod-a-1.unfinished").write_text("half a mod")
    save(folder)
    assert sorted(file.name for file in folder.iterdir()) == ["model.json", "model.safetensors", "preparation.safetensors"]


def test_a_regression_answers_in_the_targets_own_units(folder: Path) -> None:
    model, fold = save(folder, dataset="diabetes")
    raw = load_diabetes(scaled=False).data[:50]
    mean, deviation = fold.target_scale
    with torch.inference_mode():
        standardised = model(torch.from_numpy(fold.preparation.apply(raw)))[:, 0].double()
    loaded = tuning_trainer.load(folder)
    np.testing.assert_allclose(loaded.predict(raw), standardised.numpy() * deviation + mean)
    assert 50 < mean < 250
    with pytest.raises(TypeError, match="a regression has no classes; call predict"):
        loaded.predict_proba(raw)


def test_rows_are_answered_for_in_parts_when_there_are_many(folder: Path) -> None:
    save(folder)
    raw = np.tile(load_digits().data[:7], (400, 1))
    answers = tuning_trainer.load(str(folder)).predict(raw)
    assert answers.shape == (2800,)
    assert answers[:7].tolist() == answers[-7:].tolist()


def test_a_fresh_process_that_imports_the_trainer_alone_gives_the_same_answers(folder: Path) -> None:
    save(folder)
    program = """
import json, sys
import tuning_trainer
assert "torch" not in sys.modules
from sklearn.datasets import load_digits
print(json.dumps(tuning_trainer.load(sys.argv[1]).predict(load_digits().data[:50]).tolist()))
"""
    printed = subprocess.run([sys.executable, "-c", program, str(folder)], check=True, capture_output=True, text=True).stdout
    assert json.loads(printed) == tuning_trainer.load(folder).predict(load_digits().data[:50]).tolist()


def test_the_weights_can_be_read_without_the_trainer_by_the_models_own_names(folder: Path) -> None:
    model, _ = save(folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    assert weights.keys() == model.state_dict().keys()
    assert all(torch.equal(weights[name], weight) for name, weight in model.state_dict().items())


def test_loading_leaves_the_random_numbers_alone(folder: Path) -> None:
    save(folder)
    before = torch.get_rng_state()
    tuning_trainer.load(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_users_own_network_is_built_by_its_factory_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "saved_net.py").write_text(
        "from torch import nn\n"
        "def build(input_shape, outputs):\n"
        "    net = nn.Sequential(nn.Linear(*input_shape, 64), nn.Linear(64, 64), nn.Linear(64, outputs))\n"
        "    net[1].weight = net[0].weight\n"
        "    return net\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model, fold = save(folder, model="custom", factory="saved_net:build")
    raw = load_digits().data[:40]
    expected = model(torch.from_numpy(fold.preparation.apply(raw))).argmax(dim=1)
    assert tuning_trainer.load(folder).predict(raw).tolist() == [str(number) for number in expected.tolist()]


def test_a_model_saved_again_replaces_the_first(folder: Path) -> None:
    save(folder, hidden_units=4)
    model, fold = save(folder, hidden_units=16)
    raw = load_digits().data[:40]
    expected = model(torch.from_numpy(fold.preparation.apply(raw))).argmax(dim=1)
    assert tuning_trainer.load(folder).predict(raw).tolist() == [str(number) for number in expected.tolist()]
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors", "preparation.safetensors"]


def described(folder: Path, **changes: Any) -> None:
    path = folder / "model.json"
    description: Mapping[str, Any] = json.loads(path.read_text())
    path.write_text(json.dumps({**description, **changes}))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        pytest.param(
            lambda folder: (folder / "model.json").unlink(),
            "{folder} holds no model: model.json is missing",
            id="saving was cut off before the end",
        ),
        pytest.param(
            lambda folder: cut_off(folder / "model.json"), "model {folder} is torn: model.json is not JSON", id="torn JSON"
        ),
        pytest.param(
            lambda folder: (folder / "model.json").write_text("[1, 2]"),
            "model {folder} was not saved by this version of the trainer: see model.json",
            id="foreign JSON",
        ),
        pytest.param(
            lambda folder: described(folder, format="tuning-trainer model 0"),
            "model {folder} was not saved by this version of the trainer: see model.json",
            id="another version",
        ),
        pytest.param(
            lambda folder: cut_off(folder / "model.safetensors"),
            "model {folder} is torn: model.safetensors does not fit the checksum in model.json",
            id="torn weights",
        ),
        pytest.param(
            lambda folder: cut_off(folder / "preparation.safetensors"),
            "model {folder} is torn: preparation.safetensors does not fit the checksum in model.json",
            id="a torn preparation",
        ),
        pytest.param(
            lambda folder: (folder / "model.safetensors").unlink(),
            "model {folder} is not whole: model.safetensors is missing",
            id="no weights",
        ),
        pytest.param(
            lambda folder: described(folder, settings={"colour": "red"}),
            "model {folder} was saved by another version of the trainer: *'colour'*",
            id="settings of another version",
        ),
        pytest.param(
            lambda folder: described(folder, settings={"hidden_units": 9}),
            "model {folder} was saved by another version of its network: *",
            id="another network",
        ),
    ],
)
def test_a_folder_that_holds_no_whole_model_is_refused_by_name(folder: Path, harm: Any, sentence: str) -> None:
    save(folder)
    harm(folder)
    with pytest.raises(SavedModelRefusedError) as refused:
        tuning_trainer.load(folder)
    said = str(refused.value)
    for part in sentence.format(folder=folder).split("*"):
        assert part in said


def test_a_save_cut_off_half_way_over_an_older_model_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(folder)

    def lost_power(*_: Any, **__: Any) -> None:
        raise OSError(5, "lost power")

    monkeypatch.setattr(json, "dumps", lost_power)
    with pytest.raises(OSError, match="lost power"):
        save(folder, hidden_units=16)
    with pytest.raises(SavedModelRefusedError, match="is torn"):
        tuning_trainer.load(folder)


def test_an_empty_folder_and_one_that_is_not_there_hold_no_model(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SavedModelRefusedError, match="holds no model"):
            tuning_trainer.load(path)
