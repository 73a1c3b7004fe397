"""What a network is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Problem:
    """What goes into a network and what comes out.

    Args:
        task: which class a row has, or which number.
        input_shape: one prepared row: (features,) or (channels, height, width).
        outputs: classes; 1 for a regression.
        class_names: in the order of the outputs; empty for a regression.
    """

    task: Task
    input_shape: tuple[int, ...]
    outputs: int
    class_names: tuple[str, ...] = ()
