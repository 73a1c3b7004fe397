"""A training that does not fit into memory: its parameters do not work on this machine, and never will."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

from tuning_client import Diagnosis, Trial

NAME: Final = "out-of-memory"

_SIGNS: Final = re.compile(
    r"can't allocate memory|out of memory|CUBLAS_STATUS_ALLOC_FAILED|Storage size calculation overflowed", re.IGNORECASE
)
"""How torch says it where it has no error of its own for it: on the CPU, and inside CUDA's libraries."""

_ASKED_FOR: Final = re.compile(r"tried to allocate ([0-9.]+) ?(bytes|[kmgt]ib)", re.IGNORECASE)
_GIBIBYTES: Final = {"bytes": 2**-30, "kib": 2**-20, "mib": 2**-10, "gib": 1.0, "tib": 2**10}


@contextmanager
def ending_the_trial(trial: Trial) -> Iterator[None]:
    """Turn an exhausted memory into a result: an objective of nan with its diagnosis, which the operator does not retry."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_exhausted(error):
            raise
        # The error keeps the frames, and so the tensors, that filled the memory.
        sentence = str(error).strip().partition("\n")[0]
    else:
        return
    trial.result(math.nan, diagnoses=[diagnosis(sentence)])


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that memory is exhausted."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or bool(_SIGNS.search(str(error)))


def diagnosis(said: str) -> Diagnosis:
    """What to do about it. `said` is torch's own sentence; the figure is what it asked for, in GiB."""
    sentence = f"Memory was exhausted: lower batch_size (accumulation makes up for it), hidden_units or layers. {said}"
    asked_for = _ASKED_FOR.search(said)
    figure = float(asked_for[1]) * _GIBIBYTES[asked_for[2].lower()] if asked_for else None
    return Diagnosis(NAME, sentence, figure=figure)
