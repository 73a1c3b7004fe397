"""A network that torch compiles is the plain one, faster; without a compiler one sentence says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tuning_trainer import models
from tuning_trainer.data.problem import Problem
from tuning_trainer.settings import Settings


def network() -> nn.Module:
    torch.manual_seed(0)
    return models.build(Settings(layers=2, hidden_units=8, normalization="layer"), Problem("classification", (6,), 3))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")


@pytest.mark.usefixtures("cache")
def test_a_compiled_network_has_the_plain_ones_names_answers_and_gradients() -> None:
    plain, compiled = network(), network()
    models.compile_in_place(compiled, torch.device("cpu"))
    assert list(compiled.state_dict()) == list(plain.state_dict())
    assert models.hidden_activations(compiled)
    # Another number of rows is compiled anew, as an epoch's last batch is.
    for rows in (16, 5):
        inputs = torch.randn(rows, 6)
        plain.zero_grad()
        compiled.zero_grad()
        torch.testing.assert_close(compiled(inputs), plain(inputs))
        compiled(inputs).square().sum().backward()
        plain(inputs).square().sum().backward()
        for (name, mine), theirs in zip(compiled.named_parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, theirs.grad, msg=name)
    plain.load_state_dict(compiled.state_dict())


@pytest.mark.usefixtures("cache")
def test_a_missing_compiler_is_a_configuration_error_of_one_sentence() -> None:
    trained = subprocess.run(
        [sys.executable, "-m", "tuning_trainer", "--compile=on", "--progress=none"],
        env={**os.environ, "CXX": "/nowhere/g++"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert trained.returncode == 78
    assert trained.stderr.startswith(
        "tuning_client: compile: 'on' needs a C++ compiler and a folder to write to, and torch says "
    )
    assert trained.stderr.endswith("; give compile: off\n")
    assert trained.stderr.count("\n") == 1
