"""How a rule between fields is stated: once for Python, once in CEL for the API server, with one sentence for both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic.alias_generators import to_camel

from tuning_operator.api.problems import InconsistentError, Problem

Value = TypeVar("Value")
Checked_contra = TypeVar("Checked_contra", contravariant=True)


@dataclass(frozen=True, kw_only=True)
class Cel:
    """A rule as the API server evaluates it at ``kubectl apply``; `self` is the value that carries it."""

    rule: str
    message: str
    """Sentence for the user; each ``%s`` stands for one of `quotes`."""
    quotes: tuple[str, ...] = ()
    """Fields of `self`, as Python calls them, whose values the message quotes. They are present whenever the rule is broken."""
    field: str | None = None
    """Field of `self` that the message is attached to."""

    def schema(self) -> dict[str, str]:
        """One entry of ``x-kubernetes-validations``."""
        entry = {"rule": self.rule}
        if self.quotes:
            values = ", ".join(f"self.{to_camel(name)}" for name in self.quotes)
            entry["messageExpression"] = f"{json.dumps(self.message)}.format([{values}])"
        else:
            entry["message"] = self.message
        if self.field:
            entry["fieldPath"] = f".{self.field}"
        return entry


@dataclass(frozen=True, kw_only=True)
class Rule(Generic[Checked_contra]):
    """One rule of one type of value, in both languages."""

    check: Callable[[Checked_contra], Iterable[Problem]]
    cel: Cel | None
    """None where CEL cannot state it, or where the schema itself does, such as the keys of a list-map."""


def rule(holds: Callable[[Checked_contra], bool], cel: Cel) -> Rule[Checked_contra]:
    """A rule between the fields of one object: it holds or not, and says the same in both languages."""

    def check(checked: Checked_contra) -> Iterable[Problem]:
        if not holds(checked):
            quoted = tuple(plain(getattr(checked, name)) for name in cel.quotes)
            yield Problem("", cel.message % quoted)

    return Rule(check=check, cel=cel)


def hold(rules: Iterable[Rule[Any]], value: Value) -> Value:
    """The value itself, when it keeps all the rules.

    Raises:
        InconsistentError: with every problem of every rule.
    """
    problems = [problem for each in rules for problem in each.check(value)]
    if problems:
        raise InconsistentError(problems)
    return value


def cel_schema(rules: Iterable[Rule[Any]]) -> dict[str, Any]:
    """What the rules add to the schema of the type that carries them."""
    stated = [each.cel.schema() for each in rules if each.cel]
    return {"x-kubernetes-validations": stated} if stated else {}


def plain(value: object) -> str:
    """A value as people write it: 0 for 0.0, 0.1 for 0.1, words as they are."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def repeats(words: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The words that stood in the list before, each with its position."""
    return ((position, word) for position, word in enumerate(words) if word in words[:position])
