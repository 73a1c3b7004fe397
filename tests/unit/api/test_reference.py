from __future__ import annotations

from pathlib import Path

from tuning_operator.api.reference import render
from tuning_operator.api.study import TuningStudy

COMMITTED = Path(__file__).parents[3] / "docs" / "reference" / "tuningstudy.md"


def test_the_committed_reference_is_what_the_models_say() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == render(), (
        "generate it anew: python -m tuning_operator.api.reference > docs/reference/tuningstudy.md"
    )


def test_every_type_has_a_section_with_a_row_for_each_field() -> None:
    sections = {text.splitlines()[0]: text for text in render().split("\n## ")[1:]}
    types = TuningStudy.model_json_schema()["$defs"]
    assert sections.keys() == types.keys() | {"TuningStudy"}
    for name, schema in types.items():
        for field in schema["properties"]:
            assert f"\n| `{field}` | " in sections[name]


def test_a_row_says_type_bounds_default_and_meaning() -> None:
    rows = render().splitlines()
    assert "| `parallelism` | integer from 1 to 1000 | `1` | Most trials running at once. |" in rows
    assert "| `parameters` | list of [Parameter](#parameter), 1 to 48 | *required* | The search space. |" in rows
    assert "| `maxTrials` | integer from 1 to 10000 | *required* | Exactly this many search trials, " in render()
    assert "| `target` | number | *optional* | The search ends when a trial reaches this value. |" in rows


def test_a_link_leads_to_a_section() -> None:
    text = render()
    sections = {line.removeprefix("## ").lower() for line in text.splitlines() if line.startswith("## ")}
    links = {part.split(")")[0] for part in text.split("](#")[1:]}
    assert links <= sections
