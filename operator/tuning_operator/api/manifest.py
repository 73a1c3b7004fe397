"""Manifests: YAML 1.2 in; a checked study out, or every problem at once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import ScalarNode

from tuning_operator.api.constants import API_VERSION, KIND
from tuning_operator.api.messages import field_path, problems_of, shown
from tuning_operator.api.problems import ManifestError, Problem
from tuning_operator.api.study import TuningStudy

Location = tuple[str | int, ...]

_TEMPLATE: Final[Location] = ("spec", "trial", "template")
# From here on JSON as Go writes it has an exponent, so that a number stays a float on the way through kubectl.
_WHOLE_BELOW: Final = 1e21


def load_file(path: Path) -> TuningStudy:
    """The study in a file.

    Raises:
        ManifestError: it is not a study.
        OSError: it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError([Problem(str(path), f"byte {error.start} is not UTF-8; save the file as UTF-8")]) from None
    return load(text)


def load(text: str) -> TuningStudy:
    """The study in one YAML 1.2 document; JSON is YAML too.

    Raises:
        ManifestError: it is not a study.
    """
    return parse(_document(text))


def parse(document: object) -> TuningStudy:
    """The study in an object as YAML or the API server gives it.

    A status in it is not read: that is the operator's own answer, and a user's file may hold an old one.

    Raises:
        ManifestError: it is not a study.
    """
    if not isinstance(document, Mapping):
        found = "empty" if document is None else shown(document)
        raise ManifestError([Problem("", f"the manifest is {found}; write apiVersion, kind, metadata and spec")])
    if wrong := tuple(_wrong_kind(document)):
        raise ManifestError(wrong)
    try:
        stated = _as_json({name: value for name, value in document.items() if name != "status"}, ())
        # Through JSON text, since only there does strict pydantic take a list for a tuple.
        return TuningStudy.model_validate_json(json.dumps(stated))
    except ValidationError as error:
        raise ManifestError(problems_of(error, TuningStudy)) from None
    except RecursionError:
        raise ManifestError([Problem("", "an alias in the YAML stands for something around itself; write it out")]) from None


def _wrong_kind(document: Mapping[Any, Any]) -> Iterator[Problem]:
    """Told alone: of another kind of object every other field would be wrong too."""
    for field, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if field not in document:
            yield Problem(field, f"is missing; write {field}: {expected}")
        elif document[field] != expected:
            yield Problem(field, f"{shown(document[field])} is not a study; write {field}: {expected}")


# Words that YAML 1.1, and so kubectl, reads as true and false.
_TRUTH_WORDS: Final = frozenset({"y", "yes", "n", "no", "on", "off"})


class _TruthWordError(ConstructorError):
    """A word stands unquoted that is no word to kubectl."""


class _Constructor(SafeConstructor):
    """Reads a file as kubectl will send it, or refuses it: one manifest must not be two studies."""

    def construct_word(self, node: ScalarNode) -> str:
        """A text; unquoted, not one that is a truth value to kubectl."""
        text: str = self.construct_yaml_str(node)
        if node.style is None and text.lower() in _TRUTH_WORDS:
            raise _TruthWordError(problem=text, problem_mark=node.start_mark)
        return text


_Constructor.add_constructor("tag:yaml.org,2002:str", _Constructor.construct_word)
# A date stays the word that was written: JSON and kubectl know none.
_Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def _document(text: str) -> object:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        documents = list(yaml.load_all(text))
    except DuplicateKeyError as error:
        found = str(error.problem).split(" with value", maxsplit=1)[0]
        raise ManifestError([Problem(_place(error), f"{found}; remove one of the two")]) from None
    except _TruthWordError as error:
        message = f"{error.problem} is a truth value to kubectl and a word here; put it in quotes, or write true or false"
        raise ManifestError([Problem(_place(error), message)]) from None
    except MarkedYAMLError as error:
        raise ManifestError([Problem(_place(error), f"{error.problem}; mend the YAML there")]) from None
    except YAMLError as error:
        raise ManifestError([Problem("", f"this is not YAML: {error}")]) from None
    except RecursionError:
        raise ManifestError([Problem("", "the YAML is nested too deeply; a manifest needs a dozen levels")]) from None
    if len(documents) > 1:
        raise ManifestError([Problem("", f"the text has {len(documents)} documents; give each study a file of its own")])
    return documents[0] if documents else None


def _place(error: MarkedYAMLError) -> str:
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def _as_json(value: object, location: Location) -> Any:
    """The value as it reaches the API server: through kubectl's JSON, and without the fields that are left empty.

    Raises:
        ManifestError: JSON has no such value.
    """
    passed_through = location[: len(_TEMPLATE)] == _TEMPLATE
    match value:
        case Mapping():
            fields = {_key(key, location): item for key, item in value.items() if passed_through or item is not None}
            return {key: _as_json(item, (*location, key)) for key, item in fields.items()}
        case list():
            return [_as_json(item, (*location, place)) for place, item in enumerate(value)]
        case float() if math.isfinite(value):
            return int(value) if value.is_integer() and abs(value) < _WHOLE_BELOW else value
        case float() if passed_through:
            raise _not_json(location, f"{shown(value)} is not finite; write a number")
        case str():
            return _whole(value, location)
        case bool() | int() | float() | None:
            return value
        case _:
            raise _not_json(location, f"has the YAML tag of a {type(value).__name__}; remove the tag")


def _key(key: object, location: Location) -> str:
    match key:
        case str():
            return _whole(key, location)
        case bool() | int() | float():
            return json.dumps(key)
        case _:
            raise _not_json(location, f"has the key {key!r}; use words as keys")


def _whole(text: str, location: Location) -> str:
    """The text with pairs of surrogates, as JSON writes characters beyond 16 bits, joined; ruamel.yaml leaves them apart."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise _not_json(location, "has half of a character (a lone surrogate); write the whole one") from None


def _not_json(location: Location, message: str) -> ManifestError:
    return ManifestError([Problem(field_path(location), message)])
