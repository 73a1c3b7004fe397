"""The CustomResourceDefinition, made from the models: ``python -m tuning_operator.api.crd > crds/tuningstudy.yaml``."""

from __future__ import annotations

import io
from typing import Any, Final

from ruamel.yaml import YAML

from tuning_operator.api import generate
from tuning_operator.api.constants import GROUP, KIND, VERSION
from tuning_operator.api.schema import Schema, structural
from tuning_operator.api.study import TuningStudy

PLURAL: Final = "tuningstudies"
SINGULAR: Final = "tuningstudy"
SHORT_NAME: Final = "tstudy"
CATEGORY: Final = "tuning"

_HEADER: Final = "# Made from the models in operator/tuning_operator/api/ by `python -m tuning_operator.api.crd`.\n"


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition as a document."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": SINGULAR,
                "shortNames": [SHORT_NAME],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(),
                    "schema": {"openAPIV3Schema": _root()},
                }
            ],
        },
    }


def render() -> str:
    """The file crds/tuningstudy.yaml."""
    yaml = YAML()
    yaml.width = 130
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(definition(), text)
    return _HEADER + text.getvalue()


def _root() -> Schema:
    schema = structural(TuningStudy)
    properties = schema["properties"]
    # The API server owns these: it allows a schema no more than the pattern of a name, and fills in the rest.
    name = {key: properties["metadata"]["properties"]["name"][key] for key in ("type", "pattern", "maxLength")}
    return {
        "description": schema["description"],
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": properties["apiVersion"]["description"], "type": "string"},
            "kind": {"description": properties["kind"]["description"], "type": "string"},
            "metadata": {"type": "object", "properties": {"name": name}},
            "spec": properties["spec"],
            # Served from the first moment, with observedGeneration 0: tools that wait for a study take one that nobody has
            # looked at for finished if it has no status at all.
            "status": {**properties["status"], "default": {}},
        },
    }


def _columns() -> list[dict[str, Any]]:
    def column(name: str, kind: str, path: str, description: str, *, wide: bool = False) -> dict[str, Any]:
        return {
            "name": name,
            "type": kind,
            "jsonPath": path,
            "description": description,
            "priority": int(wide),
        }

    return [
        column("Phase", "string", ".status.phase", "The conditions in one word."),
        column("Trials", "string", ".status.trials.progress", "Finished trials of the budget."),
        column("Best", "number", ".status.best.value", "Value of the best trial so far."),
        column("Gain", "number", ".status.improvement.absolute", "Distance from the baseline to the best."),
        column("Sampler", "string", ".status.search.sampler", "The sampler in use.", wide=True),
        column("Running", "integer", ".status.trials.running", "Trials whose Pod runs.", wide=True),
        column("Failed", "integer", ".status.trials.failed", "Trials that gave no value.", wide=True),
        column("Age", "date", ".metadata.creationTimestamp", "Time since the study was created."),
    ]


if __name__ == "__main__":
    raise SystemExit(generate.main(render(), description=definition.__doc__ or ""))
