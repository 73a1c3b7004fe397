"""What is measured of a training, held against what it was made to do."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tuning_trainer.measures import LEAST_STRIDE, MOST_LOOKS, Figures, Measures

TARGETS = torch.tensor([0, 1, 1, 0])


class Bench:
    """Two layers of two weights each, whose gradients and steps are set by hand."""

    def __init__(self, *, steps_per_epoch: int = 1, gradient_clipping: float = 0.0) -> None:
        self.model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
        for weight in self.model.parameters():
            nn.init.ones_(weight)
        self.measures = Measures(
            self.model, hidden=(self.model[1],), steps_per_epoch=steps_per_epoch, gradient_clipping=gradient_clipping
        )

    def step(
        self,
        *,
        first: float = 1.0,
        last: float = 1.0,
        move: float = 0.0,
        loss: float = 1.0,
        outputs: Tensor | None = None,
        targets: Tensor = TARGETS,
    ) -> None:
        """Every weight of a layer has the same gradient; all weights move by the same."""
        for weight, gradient in zip(self.model.parameters(), (first, last), strict=True):
            weight.grad = torch.full_like(weight, gradient)
        self.measures.after_backward(torch.tensor(loss), torch.eye(2)[targets] if outputs is None else outputs, targets)
        with torch.no_grad():
            for weight in self.model.parameters():
                weight.add_(move)
        self.measures.after_step()

    def steps(self, *firsts: float) -> Figures:
        for first in firsts:
            self.step(first=first)
        return self.measures.end_epoch()


def test_norms_are_those_of_all_gradients_and_of_the_first_and_the_last_layer() -> None:
    figures = Bench().steps(3.0)
    assert figures["gradient_norm_median"] == pytest.approx(math.sqrt(2 * 9 + 2))
    assert figures["gradient_norm_max"] == figures["gradient_norm_median"]
    assert figures["first_layer_norm"] == pytest.approx(math.sqrt(2 * 9))
    assert figures["last_layer_norm"] == pytest.approx(math.sqrt(2))


def test_a_step_is_held_against_the_weights_after_it() -> None:
    bench = Bench()
    bench.step(move=0.25)
    assert bench.measures.end_epoch()["update_ratio"] == pytest.approx(0.25 / 1.25)


def test_accuracy_is_the_share_of_the_batch_that_is_right() -> None:
    bench = Bench()
    bench.step(outputs=torch.eye(2)[[0, 1, 0, 1]])
    assert bench.measures.end_epoch()["train_accuracy"] == 0.5


def test_numbers_are_neither_right_nor_wrong() -> None:
    bench = Bench()
    bench.step(outputs=torch.zeros(4, 1), targets=torch.zeros(4))
    figures = bench.measures.end_epoch()
    assert figures["train_accuracy"] is None
    assert figures["gradient_norm_median"] is not None


def test_steps_beyond_the_clipping_are_counted() -> None:
    bench = Bench(gradient_clipping=2.5)
    looked_at = (1.0, 3.0, 3.0, 3.0)  # norms 2, 4.5, 4.5, 4.5
    for first in looked_at:
        bench.step(first=first)
        for _ in range(LEAST_STRIDE - 1):
            bench.step()
    assert bench.measures.end_epoch()["clipped"] == 0.75


@pytest.mark.parametrize(
    ("steps_per_epoch", "looks"),
    [(1, 1), (LEAST_STRIDE, 1), (LEAST_STRIDE + 1, 2), (MOST_LOOKS * LEAST_STRIDE, MOST_LOOKS), (5_000, MOST_LOOKS)],
)
def test_few_steps_are_looked_at_evenly(steps_per_epoch: int, looks: int) -> None:
    bench = Bench(steps_per_epoch=steps_per_epoch)
    for _ in range(steps_per_epoch):
        bench.step()
    assert len(bench.measures.state_dict()["looks"]) == looks


def test_an_epoch_without_a_look_has_no_figures_and_does_not_repeat_the_last_ones() -> None:
    bench = Bench()
    assert bench.steps(1.0)["gradient_norm_median"] is not None
    assert set(bench.steps(1.0).values()) == {None}


def test_what_stands_beside_an_infinite_gradient_is_left_out() -> None:
    bench = Bench(steps_per_epoch=2 * LEAST_STRIDE)
    figures = bench.steps(math.inf, *[1.0] * (2 * LEAST_STRIDE - 1))
    assert figures["gradient_norm_max"] == pytest.approx(2.0)
    assert set(Bench().steps(math.nan).values()) == {None}


def test_the_first_loss_is_that_of_the_first_step() -> None:
    bench = Bench()
    assert math.isnan(bench.measures.first_loss)
    for loss in (7.0, 5.0, 3.0):
        bench.step(loss=loss)
    assert bench.measures.first_loss == 7.0


def test_weights_that_do_not_learn_are_not_measured() -> None:
    frozen, hidden, last = nn.Linear(1, 2, bias=False), nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
    frozen.requires_grad_(requires_grad=False)
    model = nn.Sequential(frozen, hidden, last)
    measures = Measures(model, steps_per_epoch=1)
    model(torch.ones(4, 1)).sum().backward()
    measures.after_backward(torch.tensor(1.0), torch.ones(4, 1), torch.ones(4))
    measures.after_step()
    gradient = hidden.weight.grad
    assert gradient is not None
    assert measures.end_epoch()["first_layer_norm"] == pytest.approx(gradient.norm().item())


UNITS = {
    "units of a row": (torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]), 1 / 3),
    "channels of an image": (torch.cat([torch.zeros(2, 3, 4, 4), torch.ones(2, 1, 4, 4)], dim=1), 3 / 4),
    "units of a token": (torch.cat([torch.zeros(2, 5, 1), torch.ones(2, 5, 1)], dim=2), 1 / 2),
}


@pytest.mark.parametrize(("activations", "dead"), UNITS.values(), ids=UNITS.keys())
def test_a_unit_that_no_row_switches_on_is_dead(activations: Tensor, dead: float) -> None:
    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
    measures = Measures(model, hidden=(model[0],), steps_per_epoch=1)
    with measures.watching_units():
        model[0](activations)
    assert measures.end_epoch()["dead_units"] == pytest.approx(dead)


def test_a_unit_is_alive_when_any_batch_switches_it_on() -> None:
    bench = Bench()
    relu = bench.model[1]
    with bench.measures.watching_units():
        relu(torch.tensor([[1.0, -1.0]]))
        relu(torch.tensor([[-1.0, -1.0]]))
    assert bench.measures.end_epoch()["dead_units"] == 0.5


def test_units_are_watched_only_where_it_says_so() -> None:
    bench = Bench()
    bench.model[1](torch.tensor([[-1.0, -1.0]]))
    assert bench.measures.end_epoch()["dead_units"] is None


def test_a_resumed_training_has_the_same_figures() -> None:
    norms = [1.0 + step % 5 for step in range(3 * LEAST_STRIDE)]
    steps_per_epoch = 2 * LEAST_STRIDE + 3
    whole = Bench(steps_per_epoch=steps_per_epoch)
    for interruption in (0, 1, LEAST_STRIDE, LEAST_STRIDE + 1, 2 * LEAST_STRIDE + 2):
        whole = Bench(steps_per_epoch=steps_per_epoch)
        first, second = Bench(steps_per_epoch=steps_per_epoch), Bench(steps_per_epoch=steps_per_epoch)
        for norm in norms[:interruption]:
            first.step(first=norm)
        second.measures.load_state_dict(first.measures.state_dict())
        assert second.steps(*norms[interruption:]) == whole.steps(*norms)
        assert second.steps(*norms) == whole.steps(*norms)
