"""A step in 16 bits does what one in 32 does, nearly, and skips what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from tuning_client import ConfigurationError
from tuning_trainer import optimizers
from tuning_trainer.precision import Precision
from tuning_trainer.settings import Settings

CPU = torch.device("cpu")
INPUTS = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def with_float16(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Precision]:
    """A precision with torch's own scaler, which works on the CPU too; a GPU is refused nowhere else."""
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda _device, *, enabled: scaler("cpu", init_scale=1024, enabled=enabled))
    return lambda: Precision(Settings(precision="float16"), torch.device("cuda"))


def linear() -> tuple[nn.Linear, optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    return model, optimizers.build(Settings(optimizer="sgd", learning_rate=0.1), model)


def loss_of(model: nn.Module) -> Tensor:
    loss: Tensor = model(INPUTS).float().square().mean()
    return loss


@pytest.mark.parametrize(
    ("precision", "kind"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)], ids=["float32", "bfloat16"]
)
def test_a_forward_pass_runs_in_the_precision_and_weights_stay_float32(precision: Any, kind: torch.dtype) -> None:
    model, optimizer = linear()
    arithmetic = Precision(Settings(precision=precision), CPU)
    with arithmetic.autocast():
        outputs = model(INPUTS)
    assert outputs.dtype == kind
    arithmetic.backward(outputs.float().square().mean())
    arithmetic.unscale(optimizer)
    before = model.weight.detach().clone()
    assert arithmetic.step(optimizer)
    assert not torch.equal(model.weight, before)
    assert model.weight.dtype == torch.float32
    assert model.weight.grad is not None
    assert model.weight.grad.dtype == torch.float32


def test_float32_is_the_plain_step_to_the_bit() -> None:
    model, optimizer = linear()
    arithmetic = Precision(Settings(), CPU)
    with arithmetic.autocast():
        loss = loss_of(model)
    arithmetic.backward(loss)
    arithmetic.unscale(optimizer)
    arithmetic.step(optimizer)

    plain, plain_optimizer = linear()
    loss_of(plain).backward()
    plain_optimizer.step()
    assert torch.equal(model.weight, plain.weight)


def test_float16_on_a_cpu_is_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Precision(Settings(precision="float16"), CPU)
    assert str(refused.value) == "precision: 'float16' needs a GPU and this training runs on the CPU; give bfloat16, or float32"


def test_gradients_have_their_true_size_after_unscale(with_float16: Callable[[], Precision]) -> None:
    model, optimizer = linear()
    arithmetic = with_float16()
    arithmetic.backward(loss_of(model))
    plain, _ = linear()
    loss_of(plain).backward()
    assert model.weight.grad is not None
    assert plain.weight.grad is not None
    torch.testing.assert_close(model.weight.grad, 1024 * plain.weight.grad)
    arithmetic.unscale(optimizer)
    torch.testing.assert_close(model.weight.grad, plain.weight.grad)


def test_a_gradient_clipped_after_unscale_makes_a_step_of_that_norm(with_float16: Callable[[], Precision]) -> None:
    model, _ = linear()
    optimizer = optimizers.build(Settings(optimizer="sgd", learning_rate=1, momentum=0), model)
    before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    arithmetic = with_float16()
    arithmetic.backward(1000 * loss_of(model))
    arithmetic.unscale(optimizer)
    optimizers.clip(optimizer, largest=0.25)
    assert arithmetic.step(optimizer)
    after = nn.utils.parameters_to_vector(model.parameters())
    assert (after - before).norm().item() == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_a_gradient_beyond_float16_skips_the_step_and_lowers_the_scale(with_float16: Callable[[], Precision], name: Any) -> None:
    model, _ = linear()
    optimizer = optimizers.build(Settings(optimizer=name), model)
    before = model.weight.detach().clone()
    arithmetic = with_float16()
    arithmetic.backward(loss_of(model) * torch.inf)
    arithmetic.unscale(optimizer)
    assert not arithmetic.step(optimizer)
    assert torch.equal(model.weight, before)
    assert arithmetic.state_dict()["scale"] == 512

    optimizer.zero_grad()
    arithmetic.backward(loss_of(model))
    arithmetic.unscale(optimizer)
    assert arithmetic.step(optimizer)
    assert not torch.equal(model.weight, before)


def test_a_resumed_precision_has_the_scale_that_it_had(with_float16: Callable[[], Precision]) -> None:
    model, optimizer = linear()
    arithmetic = with_float16()
    arithmetic.backward(loss_of(model) * torch.inf)
    arithmetic.step(optimizer)
    saved = BytesIO()
    torch.save(arithmetic.state_dict(), saved)
    saved.seek(0)
    resumed = with_float16()
    resumed.load_state_dict(torch.load(saved, weights_only=True))
    assert resumed.state_dict() == arithmetic.state_dict()
    assert resumed.state_dict()["scale"] == 512


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_precision_without_a_scale_has_nothing_to_resume(precision: Any) -> None:
    arithmetic = Precision(Settings(precision=precision), CPU)
    assert arithmetic.state_dict() == {}
    arithmetic.load_state_dict({})
