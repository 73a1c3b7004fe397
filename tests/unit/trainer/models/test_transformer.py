"""A transformer reads a table's features, or an image's patches, as tokens."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tuning_trainer import models
from tuning_trainer.data.problem import Problem
from tuning_trainer.models.transformer import FeatureTokens, PatchTokens
from tuning_trainer.settings import Settings

TABLE = Problem("classification", (6,), 3)


def test_a_features_token_is_its_value_times_a_vector_plus_another() -> None:
    tokens = FeatureTokens(features=3, width=4)
    row = torch.tensor([[2.0, 0.0, -1.0]])
    expected = torch.stack([2 * tokens.weight[0] + tokens.bias[0], tokens.bias[1], tokens.bias[2] - tokens.weight[2]])
    torch.testing.assert_close(tokens(row)[0], expected)


@pytest.mark.parametrize(
    ("shape", "patches"),
    [
        pytest.param((1, 8, 8), 64, id="each pixel of a digit"),
        pytest.param((3, 32, 32), 64, id="patches of 4 by 4"),
        pytest.param((3, 33, 20), 7 * 4, id="whole patches of 5 by 5, filled up with zeros"),
        pytest.param((1, 9, 512), 8, id="a strip, one patch high"),
    ],
)
def test_an_image_becomes_at_most_eight_patches_along_a_side(shape: tuple[int, int, int], patches: int) -> None:
    assert PatchTokens(shape, width=4)(torch.zeros(2, *shape)).shape == (2, patches, 4)


def test_every_pixel_has_a_say() -> None:
    image = torch.randn(1, 3, 33, 20, requires_grad=True)
    PatchTokens((3, 33, 20), width=4)(image).square().sum().backward()
    assert image.grad is not None
    assert (image.grad != 0).all()


def test_blocks_are_normalised_first_and_start_with_weights_of_their_own() -> None:
    model = models.build(Settings(model="transformer", layers=2, hidden_units=8, heads=2, dropout=0.2), TABLE)
    first, second = (module for module in model.modules() if isinstance(module, nn.TransformerEncoderLayer))
    assert first.norm_first
    assert first.dropout.p == 0.2
    assert first.self_attn.num_heads == 2
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_a_rows_answer_does_not_depend_on_the_rows_beside_it() -> None:
    model = models.build(Settings(model="transformer", hidden_units=8, heads=2), TABLE).eval()
    rows = torch.randn(4, 6)
    torch.testing.assert_close(model(rows)[:1], model(rows[:1]))


def test_features_are_told_apart() -> None:
    model = models.build(Settings(model="transformer", hidden_units=8, heads=2), TABLE).eval()
    row = torch.tensor([[1.0, -2.0, 0.5, 0.0, 0.0, 3.0]])
    assert not torch.allclose(model(row), model(row.flip(1)))
