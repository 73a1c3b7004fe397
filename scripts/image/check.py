"""Fail the build of an image whose packages do not fit together: check.py before | after EXTRA.

`before` remembers what `pip check` has against the base alone, such as a distribution that changed a version but not who
asks for it; `after` fails for anything more. pip ignores extras, so ours are compared here.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

_BASE = Path("/opt/image/base-complaints")
_PROJECT = "tuning-operator"
_FINE = "No broken requirements found."


def complaints() -> set[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return set(said) - {_FINE}


def unmet(extra: str) -> set[str]:
    wanted = [Requirement(line) for line in requires(_PROJECT) or []]
    return {f"{_PROJECT}[{extra}] requires {each}" for each in wanted if _applies(each, extra) and not _met(each)}


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or bool(requirement.marker.evaluate({"extra": extra}))


def _met(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["before"]:
            _BASE.write_text("\n".join(complaints()), encoding="utf-8")
        case ["after", extra]:
            problems = complaints() - set(_BASE.read_text(encoding="utf-8").splitlines()) | unmet(extra)
            sys.exit("\n".join(sorted(problems)) or 0)
        case _:
            sys.exit(__doc__)
