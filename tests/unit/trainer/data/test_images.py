"""Folders of images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support.tables import everything, first_fold, paint

from tuning_client import ConfigurationError
from tuning_trainer import data
from tuning_trainer.data import Preparation
from tuning_trainer.settings import Settings


def images(folder: Path, **settings: object) -> Settings:
    return Settings(**{"dataset": "images", "path": str(folder), "image_size": 8} | settings)  # type: ignore[arg-type]


def test_folders_are_classes_and_images_have_one_size(tmp_path: Path) -> None:
    fold = first_fold(images(paint(tmp_path, {"dogs": 4, "cats": 4})))
    assert fold.problem == data.Problem("classification", (1, 8, 8), 2, ("cats", "dogs"))
    inputs, targets = everything(fold.training)
    assert inputs.shape == (6, 1, 8, 8)
    assert targets.tolist().count(0) == 3


def test_one_image_in_colour_makes_all_have_three_channels(tmp_path: Path) -> None:
    folder = paint(tmp_path, {"cats": 4, "dogs": 4})
    assert first_fold(images(folder)).problem.input_shape == (1, 8, 8)
    Image.new("RGB", (9, 9), (1, 2, 3)).save(folder / "cats" / "colour.png")
    assert first_fold(images(folder)).problem.input_shape == (3, 8, 8)


def pixels(folder: Path) -> np.ndarray:
    paths = sorted(folder.rglob("*.png"))
    return np.stack([np.asarray(Image.open(path).resize((8, 8))).transpose(2, 0, 1) for path in paths]).astype(float)


def test_pixels_are_scaled_channel_by_channel(tmp_path: Path) -> None:
    folder = paint(tmp_path, {"cats": 4, "dogs": 4}, mode="RGB")
    raw, paths = pixels(folder), sorted(folder.rglob("*.png"))

    def scaled(scaling: str) -> np.ndarray:
        return data.load_final(images(folder, scaling=scaling), torch.device("cpu")).preparation.apply(paths)

    axes = (0, 2, 3)
    mean, deviation = raw.mean(axes, keepdims=True), raw.std(axes, keepdims=True)
    expected = np.divide(raw - mean, deviation, where=deviation > 0, out=np.zeros_like(raw))
    np.testing.assert_allclose(scaled("standard"), expected, atol=1e-5)
    assert (scaled("none") == raw).all()
    assert (scaled("minmax").min(), scaled("minmax").max()) == (0, 1)
    low, high = np.quantile(raw[:, 0], [0.25, 0.75], method="inverted_cdf")
    middle = np.quantile(raw[:, 0], 0.5, method="inverted_cdf")
    np.testing.assert_allclose(scaled("robust")[:, 0], (raw[:, 0] - middle) / (high - low), atol=1e-5)


def test_a_saved_preparation_takes_paths_opened_images_and_arrays(tmp_path: Path) -> None:
    folder = paint(tmp_path, {"cats": 4, "dogs": 4})
    state = first_fold(images(folder)).preparation.state()
    plain = json.loads(json.dumps({name: value for name, value in state.items() if name not in ("offset", "scale")}))
    preparation = Preparation.from_state(plain | {"offset": state["offset"], "scale": state["scale"]})
    path = folder / "cats" / "0.png"
    with Image.open(path) as image:
        expected = preparation.apply([image])
        np.testing.assert_array_equal(preparation.apply([np.asarray(image)]), expected)
    np.testing.assert_array_equal(preparation.apply([path]), expected)
    np.testing.assert_array_equal(preparation.apply([str(path)]), expected)


def test_images_of_cameras_stand_upright(tmp_path: Path) -> None:
    folder = paint(tmp_path, {"cats": 2, "dogs": 2})
    picture = np.zeros((8, 8), np.uint8)
    picture[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    Image.fromarray(picture).save(folder / "cats" / "turned.png", exif=exif)
    preparation = first_fold(images(folder, scaling="none")).preparation
    (turned,) = preparation.apply([folder / "cats" / "turned.png"])
    assert turned[0, -1].tolist() == [255] * 8
    assert turned[0, 0].tolist() == [0] * 8


@pytest.mark.parametrize("workers", [0, 2])
def test_images_that_workers_read_are_those_that_lie_on_the_device(tmp_path: Path, workers: int) -> None:
    folder = paint(tmp_path, {"cats": 6, "dogs": 6}, mode="RGB")
    resident = first_fold(images(folder, loading="resident")).training
    read = first_fold(images(folder, loading="workers", workers=workers)).training
    order = torch.tensor([5, 3, 0, 8, 1])
    for one, other in zip(resident.batches(order, 2), read.batches(order, 2), strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)


def an_empty_class(folder: Path) -> None:
    (folder / "birds").mkdir()


def no_image(folder: Path) -> None:
    (folder / "cats" / "words.png").write_text("no image")


def a_torn_image(folder: Path) -> None:
    path = folder / "cats" / "torn.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:200])


def a_deep_image(folder: Path) -> None:
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(folder / "cats" / "deep.png")


def one_class(folder: Path) -> None:
    for image in (folder / "dogs").iterdir():
        image.unlink()
    (folder / "dogs").rmdir()


def two_of_a_class(folder: Path) -> None:
    for image in sorted((folder / "dogs").iterdir())[1:]:
        image.unlink()


SPOILT = {
    an_empty_class: r"^--path: folder 'birds' holds no image; add some or remove the folder$",
    no_image: r"^image .*/cats/words.png cannot be read; replace or remove it$",
    a_torn_image: r"^image .*/cats/torn.png cannot be read \(.*\); replace or remove it$",
    a_deep_image: r"^image .*/cats/deep.png has more than 8 bits per channel; save it with 8$",
    one_class: r"^--path: '.*' has 1 folders of images; give one folder for each class$",
    two_of_a_class: r"^--target: class 'dogs' has 1 row, too few",
}


@pytest.mark.parametrize(("spoil", "sentence"), SPOILT.items(), ids=[spoil.__name__.replace("_", " ") for spoil in SPOILT])
def test_folders_that_cannot_be_learnt_are_refused(tmp_path: Path, spoil: object, sentence: str) -> None:
    folder = paint(tmp_path, {"cats": 4, "dogs": 4})
    assert callable(spoil)
    spoil(folder)
    settings = images(folder)
    with pytest.raises(ConfigurationError, match=sentence):
        data.load_final(settings, torch.device("cpu")), first_fold(settings)


def test_an_image_too_large_to_be_meant_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = paint(tmp_path, {"cats": 4, "dogs": 4})
    Image.new("L", (100, 100)).save(folder / "cats" / "vast.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    with pytest.raises(
        ConfigurationError, match=r"^image .*/cats/vast.png has more than 2000 pixels; make it smaller or remove it$"
    ):
        first_fold(images(folder))


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    folder = paint(tmp_path, {"cats": 4, "dogs": 4})
    (folder / "cats" / "._1.png").write_bytes(b"what macOS keeps beside an image")
    paint(folder / "cats" / ".ipynb_checkpoints", {"copies": 2})
    assert len(data.load_search(images(folder)).rows.targets) == 8


def test_a_file_is_no_folder_of_images(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a")
    with pytest.raises(ConfigurationError, match="is no folder; give one that holds a folder of images for each class"):
        first_fold(images(tmp_path / "t.csv"))


def test_images_have_no_number_to_predict(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--task: 'regression' has no target in folders of images"):
        first_fold(images(paint(tmp_path, {"cats": 2, "dogs": 2}), task="regression"))
