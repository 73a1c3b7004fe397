"""On what a suggestion depends besides the history: replaying a search needs the same versions of these."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

_LIBRARIES: Final = ("optuna", "scipy", "torch", "cmaes")


@cache
def library_versions() -> Mapping[str, str]:
    """Their versions by name, as they are installed, without importing them; those that are not installed are absent."""
    found = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
