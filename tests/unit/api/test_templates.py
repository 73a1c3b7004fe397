"""Additions to a Pod template, merged as `kubectl patch` merges them."""

from __future__ import annotations

from typing import Any

import pytest

from tuning_operator.api.templates import merged

TRAINER: dict[str, Any] = {
    "name": "trainer",
    "image": "t",
    "env": [{"name": "A", "value": "1"}],
    "volumeMounts": [{"name": "d", "mountPath": "/d"}],
}


def pod(*containers: Any, **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), **spec}}


@pytest.mark.parametrize(
    ("additions", "result"),
    [
        pytest.param({}, pod(TRAINER), id="nothing"),
        pytest.param(
            pod({"name": "trainer", "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]}),
            pod({**TRAINER, "env": [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]}),
            id="variables by their names",
        ),
        pytest.param(
            pod({"name": "trainer", "volumeMounts": [{"name": "test", "mountPath": "/test"}]}, volumes=[{"name": "test"}]),
            pod(
                {**TRAINER, "volumeMounts": [*TRAINER["volumeMounts"], {"name": "test", "mountPath": "/test"}]},
                volumes=[{"name": "test"}],
            ),
            id="a volume and where it is mounted",
        ),
        pytest.param(pod({"name": "helper"}), pod(TRAINER, {"name": "helper"}), id="another container"),
        pytest.param(
            pod({"name": "trainer", "args": ["--final"]}), pod({**TRAINER, "args": ["--final"]}), id="arguments as a whole"
        ),
        pytest.param(
            {"metadata": {"labels": {"a": "b"}}}, {**pod(TRAINER), "metadata": {"labels": {"a": "b"}}}, id="what was not there"
        ),
        pytest.param(
            pod({"name": "trainer", "image": None}),
            pod({name: value for name, value in TRAINER.items() if name != "image"}),
            id="null takes away",
        ),
    ],
)
def test_additions_are_merged_by_their_keys(additions: dict[str, Any], result: dict[str, Any]) -> None:
    template = pod(TRAINER)
    assert merged(template, additions) == result
    assert template == pod(TRAINER), "the template itself stays"
