"""The reference has a line for everything that a training can be told, and can say."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import get_args

from tuning_trainer.diagnosis import Name
from tuning_trainer.reference import render
from tuning_trainer.settings import Settings

NAMED = re.findall(r"^\| `(?:--)?([a-z0-9_-]+)` \|", render(), re.MULTILINE)


def test_every_setting_and_every_diagnosis_has_one_line() -> None:
    names = [*(field.name for field in fields(Settings)), *get_args(Name)]
    assert sorted(name.replace("-", "_") for name in NAMED) == sorted(name.replace("-", "_") for name in names)


def test_every_line_has_the_cells_of_its_table() -> None:
    cells = {heading: heading.count("|") for heading in re.findall(r"^\| (?:setting|flag|diagnosis) .*$", render(), re.MULTILINE)}
    assert len(cells) == 3
    width = 0
    for line in render().splitlines():
        width = cells.get(line, width)
        assert not line.startswith("|") or line.count("|") == width, line
