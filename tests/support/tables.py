"""Small tables and folders of images for the trainer to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from tuning_trainer import data
from tuning_trainer.data import Fold, Source
from tuning_trainer.settings import Settings

CPU = torch.device("cpu")


def people(rows: int = 40, seed: int = 0) -> pd.DataFrame:
    """Two numbers, a category, a group of four rows each, a class and a price to predict."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": random.integers(18, 90, rows),
            "height": random.normal(1.7, 0.1, rows),
            "colour": random.choice(["red", "green", "blue"], rows),
            "patient": [f"p{row // 4}" for row in range(rows)],
            "ill": np.where(np.arange(rows) % 2, "yes", "no"),
            "price": random.normal(100, 20, rows),
        }
    )


def write(table: pd.DataFrame, path: Path) -> Path:
    """The table in a file of the path's format."""
    match path.suffix:
        case ".csv":
            table.to_csv(path, index=False)
        case ".parquet":
            table.to_parquet(path)
    return path


def file_settings(table: pd.DataFrame, folder: Path, **settings: object) -> Settings:
    """Settings that learn `ill` from the other columns of this table, written as train.csv."""
    values: dict[str, object] = {"target": "ill", "ignore": "patient,price"} | settings
    if "group" in settings and "ignore" not in settings:
        values["ignore"] = "price"
    kept = ",".join(name for name in str(values["ignore"]).split(",") if name.strip() in table)
    path = str(write(table, folder / "train.csv"))
    return Settings(**{"dataset": "file", "path": path} | values | {"ignore": kept})  # type: ignore[arg-type]


def first_fold(settings: Settings) -> Fold:
    return data.load_search(settings).fold(0, CPU)


def everything(source: Source) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of all rows, as they lie."""
    inputs, targets = zip(*source.batches(None, 7), strict=True)
    return torch.cat(inputs), torch.cat(targets)


def paint(folder: Path, images: Mapping[str, int], mode: str = "L", size: tuple[int, int] = (12, 10)) -> Path:
    """So many images for each class, every one of another shade."""
    shades = iter(range(0, 256, 5))
    for name, count in images.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            shade = next(shades)
            Image.new(mode, size, shade if mode == "L" else (shade, 0, 255 - shade)).save(folder / name / f"{number}.png")
    return folder
