"""`tuning lr-range` as its user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

TUNING = Path(sys.executable).parent / "tuning"


def study(folder: Path, container: dict[str, object]) -> Path:
    """A study of this container that tunes its learning rate."""
    document = {
        "apiVersion": "tuningstudy.dev/v1alpha1",
        "kind": "TuningStudy",
        "metadata": {"name": "rates"},
        "spec": {
            "objectives": [{"metric": "val_accuracy", "direction": "maximize"}],
            "parameters": [
                {"name": "learning_rate", "float": {"min": 1e-6, "max": 10.0, "scale": "log", "default": 0.002}},
                {"name": "batch_size", "int": {"min": 16, "max": 256, "default": 32}},
            ],
            "baseline": {"repeats": 1},
            "budget": {"maxTrials": 2, "parallelism": 1},
            "trial": {"template": {"spec": {"containers": [{"name": "trainer", **container}]}}},
        },
    }
    manifest = folder / "study.yaml"
    with manifest.open("w") as file:
        YAML().dump(document, file)
    return manifest


def lr_range(manifest: Path) -> subprocess.CompletedProcess[str]:
    command = [str(TUNING), "lr-range", str(manifest)]
    return subprocess.run(command, cwd=manifest.parent, capture_output=True, text=True, check=False)


def test_the_range_is_printed_for_the_manifest_and_drawn(tmp_path: Path) -> None:
    ended = lr_range(study(tmp_path, {"image": "tuning-trainer", "args": ["--dataset=digits", "--progress=none"]}))
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    first, _, lines, last = ended.stdout.splitlines()
    assert first.startswith("learning_rate: search from ")
    (parameter,) = YAML(typ="safe").load(lines)
    assert 1e-3 < parameter["float"]["max"] < 0.1
    assert parameter["float"]["default"] == 0.002

    folder = tmp_path / "lr-range" / "rates"
    assert last == f"The curve: {folder.relative_to(tmp_path)}/lr_range.html"
    page = (folder / "lr_range.html").read_text()
    assert "rates: learning rates worth searching" in page
    assert lines in page
    curve = json.loads((folder / "lr_range.json").read_text())
    assert curve["suggested_max"] == parameter["float"]["max"]


REFUSED = {
    "a command that knows no range test": (
        {"image": "python", "command": [sys.executable, "-c", "print('trained')"]},
        1,
        "the trial's command knows no range test: with TUNING_ROLE=lr-range it gave no suggested_min and suggested_max",
    ),
    "a command that fails": (
        {"image": "tuning-trainer", "args": ["--dataset=digit"]},
        1,
        "the range test ended with exit code 78; what it said stands above",
    ),
    "a command that is not there": (
        {"image": "python", "command": ["/no/such/command"]},
        1,
        "/no/such/command cannot be started: No such file or directory; mend command in spec.trial.template",
    ),
    "an image that this machine cannot run": ({"image": "mine:1"}, 2, "set command, or apply the study to a cluster"),
}


@pytest.mark.parametrize(("container", "code", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_without_a_range_one_sentence_says_why(tmp_path: Path, container: dict[str, object], code: int, says: str) -> None:
    ended = lr_range(study(tmp_path, container))
    assert ended.returncode == code
    assert says in ended.stderr.splitlines()[-1]
