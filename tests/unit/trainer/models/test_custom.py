"""A user's own network comes from a function of their own, which imports nothing of the trainer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from tuning_client import ConfigurationError
from tuning_trainer import models
from tuning_trainer.data.problem import Problem
from tuning_trainer.settings import Settings

PROBLEM = Problem("classification", (6,), 3)

CODE = """
import torch
from torch import nn

def asks_for_nothing_else(input_shape, outputs):
    return nn.Linear(input_shape[0], outputs)

def asks_for_settings(outputs, *, input_shape, hidden_units, dropout=0.9, bias=False):
    return nn.Sequential(nn.Linear(*input_shape, hidden_units, bias=bias), nn.Dropout(dropout), nn.Linear(hidden_units, outputs))

def takes_all(**settings):
    return nn.Sequential(nn.Linear(settings["input_shape"][0], settings["hidden_units"]), nn.Linear(settings["hidden_units"], 3))

class Net(nn.Module):
    def __init__(self, input_shape, outputs):
        super().__init__()
        self.answer = nn.Sequential(nn.BatchNorm1d(*input_shape), nn.Dropout(0.5), nn.Linear(*input_shape, outputs))

    def forward(self, rows):
        return self.answer(rows) + 0 * torch.rand(1)

def mistyped(input_shape, outputs, hiden_units):
    return nn.Linear(6, 3)

def wants_more(input_shape, outputs, colour):
    return nn.Linear(6, 3)

def returns_a_list(outputs):
    return [outputs]

def too_many_answers(input_shape):
    return nn.Linear(input_shape[0], 5)

def answers_in_pairs(input_shape):
    return nn.LSTM(input_shape[0], 3)

def other_rows():
    return nn.Linear(7, 3)

def frozen():
    return nn.Linear(6, 3).requires_grad_(False)

def has_a_fault(outputs):
    return 1 / 0

constant = 3
"""


@pytest.fixture(autouse=True)
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_nets.py").write_text(CODE)
    (tmp_path / "needs_more.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_nets", raising=False)


def build(factory: str, **settings: int) -> nn.Module:
    return models.build(Settings(model="custom", factory=factory, **settings), PROBLEM)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["asks_for_nothing_else", "asks_for_settings", "takes_all", "Net"])
def test_a_factory_gets_the_arguments_that_it_names(name: str) -> None:
    model = build(f"my_nets:{name}", hidden_units=5)
    assert model.training
    assert model(torch.zeros(2, 6)).shape == (2, 3)


def test_settings_reach_the_factory_by_their_names() -> None:
    first, dropout, _ = build("my_nets:asks_for_settings", hidden_units=5).children()
    assert isinstance(first, nn.Linear)
    assert first.out_features == 5
    assert "bias" not in dict(first.named_parameters()), "it is no setting, so its own default holds"
    assert isinstance(dropout, nn.Dropout)
    assert dropout.p == 0.0, "a setting wins over the factory's default"


def test_the_check_of_the_answers_shape_leaves_no_trace() -> None:
    torch.manual_seed(3)
    model = build("my_nets:Net")
    after = torch.rand(1)
    torch.manual_seed(3)
    nn.Linear(6, 3)
    assert torch.equal(after, torch.rand(1))
    assert int(model.get_buffer("answer.0.num_batches_tracked")) == 0


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [
        pytest.param("", "--factory: '' names no function; model: custom needs one such as nets.small:build", id="none"),
        pytest.param(
            "my_nets",
            "--factory: 'my_nets' names no function; model: custom needs one such as nets.small:build",
            id="no function",
        ),
        pytest.param(
            "your_nets:build",
            "--factory: module your_nets cannot be imported (No module named 'your_nets'); put its folder on PYTHONPATH,"
            " or install what it needs",
            id="no such module",
        ),
        pytest.param(
            "needs_more:build",
            "--factory: module needs_more cannot be imported (No module named 'not_installed_anywhere');"
            " put its folder on PYTHONPATH, or install what it needs",
            id="a module that needs another",
        ),
        pytest.param("my_nets:net", "--factory: module my_nets has no function net; did you mean Net?", id="a function mistyped"),
        pytest.param(
            "my_nets:xyz", "--factory: module my_nets has no function xyz; give one that returns a torch.nn.Module", id="no such"
        ),
        pytest.param(
            "my_nets:constant",
            "--factory: module my_nets has no function constant; give one that returns a torch.nn.Module",
            id="a number",
        ),
        pytest.param(
            "my_nets:mistyped",
            "--factory: my_nets:mistyped wants an argument hiden_units, which is no setting; did you mean hidden_units?",
            id="an argument mistyped",
        ),
        pytest.param(
            "my_nets:wants_more",
            "--factory: my_nets:wants_more wants an argument colour, which is no setting;"
            " it can have input_shape, outputs and every setting",
            id="an argument that is no setting",
        ),
        pytest.param(
            "my_nets:returns_a_list",
            "--factory: my_nets:returns_a_list returned list; let it return a torch.nn.Module",
            id="no module",
        ),
        pytest.param(
            "my_nets:too_many_answers",
            "--factory: the module of my_nets:too_many_answers turns 2 rows of shape (6,) into (2, 5); let it return (2, 3),"
            " one logit for each class or one number",
            id="too many outputs",
        ),
        pytest.param(
            "my_nets:answers_in_pairs",
            "--factory: the module of my_nets:answers_in_pairs turns 2 rows of shape (6,) into tuple; let it return (2, 3),"
            " one logit for each class or one number",
            id="outputs that are no tensor",
        ),
        pytest.param(
            "my_nets:frozen",
            "--factory: the module of my_nets:frozen has no weight that learns; leave requires_grad on",
            id="nothing to learn",
        ),
    ],
)
def test_a_factory_that_does_not_fit_is_refused_in_a_sentence(factory: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        build(factory)
    assert str(refused.value) == sentence


def test_a_module_for_other_rows_is_refused_with_what_torch_says_about_it() -> None:
    with pytest.raises(ConfigurationError, match=r"does not take rows of shape \(6,\): .*cannot be multiplied \(2x6 and 7x3\)$"):
        build("my_nets:other_rows")


def test_a_fault_in_the_users_own_code_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        build("my_nets:has_a_fault")
