"""Where rows come from: a bundled set, a table or a folder of images, by the settings."""

from __future__ import annotations

from pathlib import Path

from tuning_client import ConfigurationError
from tuning_trainer.data import bundled, folders, tables
from tuning_trainer.data.preparation import Preparation
from tuning_trainer.data.rows import Rows
from tuning_trainer.data.targets import Target
from tuning_trainer.settings import Settings


def search_rows(settings: Settings) -> tuple[Rows, Target]:
    """The rows that a search may see.

    Raises:
        ConfigurationError: a setting, the file or one of its columns is wrong.
    """
    _refuse_contradictions(settings)
    match settings.dataset:
        case "file":
            return tables.search_rows(_path("--path", settings.path), settings)
        case "images":
            return folders.search_rows(_path("--path", settings.path), settings)
        case name:
            return bundled.search_rows(name)


def test_rows(settings: Settings, preparation: Preparation, target: Target) -> Rows:
    """The rows that only the final evaluation sees, to be prepared as the others were.

    Raises:
        ConfigurationError: there are none, or they do not fit the rows that were learnt from.
    """
    match settings.dataset:
        case "file":
            return tables.test_rows(_path("--test-path", settings.test_path), settings, preparation, target)
        case "images":
            return folders.test_rows(_path("--test-path", settings.test_path), preparation, target)
        case name:
            return bundled.test_rows(name)


def _refuse_contradictions(settings: Settings) -> None:
    if settings.dataset not in ("file", "images"):
        for flag, value in (("--path", settings.path), ("--test-path", settings.test_path)):
            if value:
                raise ConfigurationError(
                    f"{flag}: '{value}' is not read with --dataset={settings.dataset}; give --dataset=file or images"
                )
        if settings.split == "time":
            raise ConfigurationError(
                f"--split: 'time' needs rows in the order of time, which {settings.dataset} has not; give another"
            )
    if settings.dataset != "file":
        for flag, value in (("--group", settings.group), ("--ignore", settings.ignore)):
            if value:
                raise ConfigurationError(
                    f"{flag}: '{value}' names a column, and {settings.dataset} has none by name; leave it out"
                )
    if settings.test_path and Path(settings.test_path).absolute() == Path(settings.path).absolute():
        raise ConfigurationError(f"--test-path: '{settings.test_path}' is --path too; give rows that no search has seen")


def _path(flag: str, path: str) -> Path:
    if not path:
        raise ConfigurationError(f"{flag}: is empty; give the file or folder to read")
    if not Path(path).exists():
        raise ConfigurationError(f"{flag}: '{path}' does not exist; give a file or folder that is mounted here")
    return Path(path)
