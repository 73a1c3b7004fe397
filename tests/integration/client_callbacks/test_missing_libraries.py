"""The client needs none of the libraries that it has callbacks for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    ("library", "module", "remedy"),
    [
        ("lightning.pytorch", "tuning_client.lightning", "pip install lightning"),
        ("transformers", "tuning_client.transformers", r"pip install transformers\[torch\]"),
        ("sklearn.base", "tuning_client.sklearn", "pip install scikit-learn"),
    ],
)
def test_a_missing_library_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, library: str, module: str, remedy: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(ImportError, match=f"which is missing; {remedy}"):
        import_module(module)


def test_the_client_itself_imports_nothing_but_python_s_own() -> None:
    script = (
        "import sys; before = set(sys.modules); import tuning_client; "
        "print({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "{'tuning_client'}"
