"""What a training shows beside its losses: norms of gradients and steps, units that are switched off, rows it knows.

A loop calls it like this, and reads one number per epoch and figure:

    measures = Measures(model, steps_per_epoch=steps)
    ...
    loss.backward()                                  # unscaled, before clipping
    measures.after_backward(loss, outputs, targets)
    optimizer.step()
    measures.after_step()
    ...
    with measures.watching_units():                  # not the compiled form of the model: it calls no hooks
        evaluate(model, validation)
    figures = measures.end_epoch()

Only every 32nd step is looked at, at most eight of an epoch, and the figures stay on the device until the epoch ends: no
step waits for it. Which steps these are depends on their number alone, so that a resumed training has the same figures.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

LEAST_STRIDE: Final = 32
"""Steps from one that is looked at to the next: a look costs about half of a small network's step."""

MOST_LOOKS: Final = 8
"""Steps of an epoch that are looked at."""

_IMAGE_DIMENSIONS: Final = 4  # rows, channels, height, width: a unit is a channel; else it is the last dimension


class Figures(TypedDict):
    """Of one epoch; None: no step, or no unit, of it was looked at."""

    train_accuracy: float | None
    """Share of rows that were right while they were learnt from."""
    gradient_norm_median: float | None
    """Of all gradients together, before clipping."""
    gradient_norm_max: float | None
    first_layer_norm: float | None
    """Median norm of the gradient of the first layer's weights."""
    last_layer_norm: float | None
    update_ratio: float | None
    """Median of a step's norm by that of the weights, biases left out."""
    clipped: float | None
    """Share of steps whose gradient was clipped."""
    dead_units: float | None
    """Share of the hidden units that no row switched on."""


_NOTHING_SEEN: Final[Figures] = {
    "train_accuracy": None,
    "gradient_norm_median": None,
    "gradient_norm_max": None,
    "first_layer_norm": None,
    "last_layer_norm": None,
    "update_ratio": None,
    "clipped": None,
    "dead_units": None,
}


class Measures:
    """The figures of one training, epoch by epoch.

    Args:
        model: on the device; its layers are its parameters of two and more dimensions, in their order.
        hidden: modules whose outputs are hidden activations, see `models.hidden_activations`.
        steps_per_epoch: of the optimiser.
        gradient_clipping: largest norm that a step's gradient may keep; 0: any.
    """

    def __init__(
        self, model: nn.Module, *, hidden: tuple[nn.Module, ...] = (), steps_per_epoch: int, gradient_clipping: float = 0.0
    ) -> None:
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._layers = [parameter for parameter in self._parameters if parameter.ndim > 1] or self._parameters
        self._hidden = hidden
        self._clipping = gradient_clipping or math.inf
        self._stride = max(LEAST_STRIDE, math.ceil(steps_per_epoch / MOST_LOOKS))
        self._step = 0  # steps finished
        self._looks: list[Tensor] = []  # of this epoch, with the columns that end_epoch() names, on the device
        self._look: list[Tensor] = []  # the columns known so far of the step under way
        self._before = torch.empty(0)  # the layers' weights before that step
        self._alive: dict[tuple[int, int], Tensor] = {}  # of a hidden layer's units, whether any row has switched them on
        self._first_loss: Tensor | None = None

    @property
    def first_loss(self) -> float:
        """Loss of the first batch before the first step; nan before it is known. Waits for the device."""
        return math.nan if self._first_loss is None else self._first_loss.item()

    def after_backward(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Look at the gradients of a step, after they are unscaled and before they are clipped.

        Args:
            loss: mean of the step's last batch, a scalar.
            outputs: (rows, outputs) of that batch, as the network gave them.
            targets: (rows,), whole numbers for classes.
        """
        if self._step == 0:
            self._first_loss = loss.detach()
        if self._step % self._stride == 0:
            self._look_at_gradients(outputs, targets)

    def after_step(self) -> None:
        """Count a step of the optimiser; look at how far it went."""
        if self._look:
            self._look_at_step()
        self._step += 1

    @torch.no_grad()
    def _look_at_gradients(self, outputs: Tensor, targets: Tensor) -> None:
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        layers = [parameter.grad for parameter in self._layers if parameter.grad is not None]
        if not layers:
            return
        norm = parameters_to_vector(gradients).norm()  # a third of the time of get_total_norm()
        right = norm * math.nan if targets.is_floating_point() else (outputs.argmax(dim=1) == targets).sum() / len(targets)
        self._look = [norm, layers[0].norm(), layers[-1].norm(), right]
        self._before = parameters_to_vector(self._layers)

    @torch.no_grad()
    def _look_at_step(self) -> None:
        after = parameters_to_vector(self._layers)
        self._looks.append(torch.stack([*self._look, (after - self._before).norm(), after.norm()]))
        self._look, self._before = [], torch.empty(0)

    @contextmanager
    def watching_units(self) -> Iterator[None]:
        """Note which hidden units any row switches on while the model is run inside."""
        self._alive = {}
        with ExitStack() as hooks:
            for place, module in enumerate(self._hidden):
                hooks.callback(module.register_forward_hook(self._note(place)).remove)
            yield

    def _note(self, place: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def note(_module: nn.Module, _inputs: Any, outputs: Tensor) -> None:
            units = outputs.movedim(1, -1) if outputs.ndim == _IMAGE_DIMENSIONS else outputs
            alive = units.abs().flatten(end_dim=-2).amax(dim=0) != 0  # a sixth of the time of any()
            layer = (place, len(alive))  # a module that stands for several layers has one entry for each width
            self._alive[layer] = self._alive[layer] | alive if layer in self._alive else alive

        return note

    def end_epoch(self) -> Figures:
        """The epoch's figures; those that no step of it showed are None. Begins the next epoch."""
        seen: list[list[float]] = torch.stack(self._looks).tolist() if self._looks else []
        alive: list[bool] = torch.cat(list(self._alive.values())).tolist() if self._alive else []
        self._looks, self._alive = [], {}
        dead_units = alive.count(False) / len(alive) if alive else None
        # Beside an infinite gradient nothing means anything; the loss tells of it, or float16 has skipped the step.
        looks = [look for look in seen if math.isfinite(look[0])]
        if not looks:
            return {**_NOTHING_SEEN, "dead_units": dead_units}
        norms, first, last, right, steps, weights = (list(column) for column in zip(*looks, strict=True))
        return {
            "train_accuracy": None if math.isnan(right[0]) else statistics.fmean(right),
            "gradient_norm_median": statistics.median(norms),
            "gradient_norm_max": max(norms),
            "first_layer_norm": statistics.median(first),
            "last_layer_norm": statistics.median(last),
            "update_ratio": statistics.median(
                step / weight if weight else 0.0 for step, weight in zip(steps, weights, strict=True)
            ),
            "clipped": sum(norm > self._clipping for norm in norms) / len(norms),
            "dead_units": dead_units,
        }

    def state_dict(self) -> dict[str, Any]:
        """What the figures to come depend on, as tensors and plain values. Between two steps only."""
        return {"step": self._step, "looks": list(self._looks), "first_loss": self._first_loss}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken, on this device."""
        device = self._parameters[0].device
        self._step = state["step"]
        self._looks = [look.to(device) for look in state["looks"]]
        self._first_loss = state["first_loss"]
