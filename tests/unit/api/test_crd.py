"""The rules that the API server has for a definition, restated: a mistake is found without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tuning_operator.api import generate
from tuning_operator.api.crd import definition, render
from tuning_operator.api.messages import _FORMS
from tuning_operator.api.schema import Schema, structural
from tuning_operator.api.study import TuningStudy

COMMITTED = Path(__file__).parents[3] / "crds" / "tuningstudy.yaml"
PRESERVED = "x-kubernetes-preserve-unknown-fields"
VERSION: dict[str, Any] = definition()["spec"]["versions"][0]
ROOT: Schema = VERSION["schema"]["openAPIV3Schema"]
TYPES = {"object", "array", "string", "number", "integer", "boolean"}


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every node of a schema with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


NODES = dict(nodes(ROOT))
# Of metadata the API server knows everything itself.
OURS = {path: node for path, node in NODES.items() if path.startswith((".spec", ".status"))}


def at(path: str) -> Schema:
    return NODES[path]


def test_the_committed_definition_is_what_the_models_say() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == render(), (
        "generate it anew: python -m tuning_operator.api.crd > crds/tuningstudy.yaml"
    )


def test_the_file_reads_as_the_definition() -> None:
    assert YAML(typ="safe", pure=True).load(render()) == definition()


def test_the_check_tells_a_definition_that_drifted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "crd.yaml"
    assert generate.main("a: 1\n", description="", arguments=["--check", str(file)]) == 1
    file.write_text("a: 2\n", encoding="utf-8")
    assert generate.main("a: 1\n", description="", arguments=["--check", str(file)]) == 1
    assert "crd.yaml is not what the models say; generate it anew" in capsys.readouterr().err
    file.write_text("a: 1\n", encoding="utf-8")
    assert generate.main("a: 1\n", description="", arguments=["--check", str(file)]) == 0
    assert generate.main("a: 1\n", description="", arguments=[]) == 0
    assert capsys.readouterr().out == "a: 1\n"


def test_every_node_has_one_type_and_no_construct_that_a_structural_schema_lacks() -> None:
    for path, node in NODES.items():
        assert node["type"] in TYPES, path
        assert not {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "const", "title", "nullable"} & node.keys(), path
        assert node.get("additionalProperties") is None, path
        assert not isinstance(node.get("exclusiveMinimum"), int | float) or node["exclusiveMinimum"] is True, path


def test_every_field_has_a_sentence_for_kubectl_explain() -> None:
    fields = {path: node for path, node in OURS.items() if not path.endswith("[]")}
    assert [path for path, node in fields.items() if not node.get("description")] == []


def test_every_list_string_and_map_has_a_maximum() -> None:
    for path, node in OURS.items():
        match node["type"]:
            case "array":
                assert "maxItems" in node, path
            case "string":
                assert "maxLength" in node or "enum" in node or node.get("format") == "date-time", path
            case "object" if PRESERVED in node and "properties" not in node:
                assert "maxProperties" in node, path


def test_unknown_fields_are_kept_only_in_the_template_and_in_maps_of_parameters() -> None:
    kept = {path for path, node in NODES.items() if PRESERVED in node and ".trial.template." not in path}
    parameters = {".spec.search.seedTrials[]", ".status.best.parameters", ".status.top[].parameters"}
    assert kept == {".spec.trial.template", ".spec.finalEvaluation.template"} | parameters


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        (".spec.parameters", ["name"]),
        (".spec.parameters[].when", ["parameter"]),
        (".status.conditions", ["type"]),
    ],
)
def test_a_list_map_has_keys_that_are_required(path: str, keys: list[str]) -> None:
    assert at(path)["x-kubernetes-list-type"] == "map"
    assert at(path)["x-kubernetes-list-map-keys"] == keys
    assert set(keys) <= set(at(path)["items"]["required"])


def test_defaults_are_in_the_schema_and_hold_no_nulls() -> None:
    assert at(".spec.search")["default"] == {"sampler": "auto", "seed": 0, "seedTrials": []}
    assert at(".spec.baseline")["default"] == {"repeats": 3}
    assert at(".spec.budget.parallelism")["default"] == 1
    assert at(".spec.parameters[].float.scale")["default"] == "linear"
    assert at(".spec.parameters[].when")["default"] == []
    assert all(node["default"] is not None for node in NODES.values() if "default" in node)


def test_every_bound_is_an_int64_as_the_api_server_makes_it_one_to_compare_it_with_a_whole_number() -> None:
    bounds = [node[side] for node in NODES.values() for side in ("minimum", "maximum") if side in node]
    assert min(bounds) >= -(2**63)
    assert max(bounds) < 2**63


def test_numbers_have_a_format_and_bounds_as_openapi_writes_them() -> None:
    assert at(".spec.parameters[].float.step") | {"description": ""} == {
        "description": "",
        "type": "number",
        "format": "double",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 1e18,
    }
    assert at(".spec.budget.maxTrials")["format"] == "int32"
    assert at(".spec.parameters[].int.min")["format"] == "int64"
    assert at(".status.estimatedCompletion")["format"] == "date-time"
    assert at(".status.improvement.basis")["enum"] == ["Provisional", "Confirmed"]


RULES = {(path, entry["rule"]): entry for path, node in NODES.items() for entry in node.get("x-kubernetes-validations", ())}


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        (".spec.parameters[].float", "self.min < self.max"),
        (".spec.parameters[].int", "self.min < self.max"),
        (".spec.parameters[].float", "self.scale == 'linear' || self.min > 0"),
        (".spec.parameters[].categorical", "!has(self.default) || self.default in self.choices"),
        (".spec.parameters[]", "[has(self.float), has(self.int), has(self.categorical)].exists_one(given, given)"),
        (".spec.parameters", "self.all(p, p.when.all(c, self.exists(q, q.name == c.parameter && has(q.categorical))))"),
        (".spec", "!has(self.budget.maxGpuHours) || self.trial.gpus > 0"),
    ],
)
def test_the_api_server_refuses_early_by(path: str, rule: str) -> None:
    assert (path, rule) in RULES


def test_every_rule_speaks_and_points_at_a_field_that_exists() -> None:
    assert len(RULES) >= 20
    for (path, _), entry in RULES.items():
        assert ("message" in entry) != ("messageExpression" in entry)
        assert "; " in entry.get("message", entry.get("messageExpression", "")) or entry.get("message", "").startswith("give ")
        assert f"{path}{entry.get('fieldPath', '')}" in NODES


def test_a_message_shows_the_values_of_the_fields_it_quotes() -> None:
    entry = RULES[".spec.parameters[].float", "self.min < self.max"]
    assert entry["messageExpression"] == (
        '"min %s is not below max %s; swap them, or drop the parameter if it is fixed".format([self.min, self.max])'
    )
    assert entry["fieldPath"] == ".min"


def test_every_pattern_has_words_that_say_what_fits_it() -> None:
    patterns = {node["pattern"] for _, node in nodes(structural(TuningStudy)) if "pattern" in node}
    assert patterns == set(_FORMS)


def test_status_is_a_subresource_and_columns_show_it() -> None:
    assert VERSION["subresources"] == {"status": {}}
    columns = {column["name"]: column for column in VERSION["additionalPrinterColumns"]}
    assert [name for name, column in columns.items() if column["priority"] == 0] == ["Phase", "Trials", "Best", "Gain", "Age"]
    assert [name for name, column in columns.items() if column["priority"] == 1] == ["Sampler", "Running", "Failed"]
    shown = {column["jsonPath"]: column["type"] for column in columns.values() if column["jsonPath"].startswith(".status")}
    assert {path: at(path)["type"] for path in shown} == shown


def test_the_names_are_those_that_people_type() -> None:
    spec = definition()["spec"]
    assert definition()["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
    assert spec["names"]["shortNames"] == ["tstudy"]
    assert spec["names"]["categories"] == ["tuning"]
    assert spec["scope"] == "Namespaced"
