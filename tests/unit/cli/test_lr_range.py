"""The lines that `tuning lr-range` gives for a manifest."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from tuning_operator.api.parameters import Parameter
from tuning_operator.cli.lr_range import manifest_lines


def parameter(default: float) -> Parameter:
    return Parameter.model_validate(
        {"name": "learning_rate", "float": {"min": 1e-6, "max": 10.0, "scale": "log", "default": default}}
    )


DEFAULTS = {
    "the study's default is kept where it lies inside": (parameter(0.001), 0.001),
    "a default below the range moves into it": (parameter(1e-6), 0.0001),
    "a default above the range moves into it": (parameter(1.0), 0.0001),
    "a study that does not tune it yet gets the middle": (None, 0.0001),
}


@pytest.mark.parametrize(("tuned", "default"), DEFAULTS.values(), ids=DEFAULTS.keys())
def test_the_lines_are_a_parameter_of_a_manifest(tuned: Parameter | None, default: float) -> None:
    lines = manifest_lines(4e-6, 4e-3, tuned)
    (read,) = YAML(typ="safe").load(lines)
    assert "e-" not in lines  # kubectl and PyYAML read such numbers differently
    pasted = Parameter.model_validate(read)
    assert pasted.float_ is not None
    assert (pasted.name, pasted.float_.min, pasted.float_.max, pasted.float_.default) == ("learning_rate", 4e-6, 4e-3, default)
