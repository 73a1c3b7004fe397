"""A remark on how a training went, for the people who read the study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnosis:
    """What was wrong with a training, which figure showed it, and what to do about it.

    The operator shows it with the trial and counts it by name in the study's status. Where the objective is nan, the
    first diagnosis of the result names the trial's failure.
    """

    name: str
    """In lower case with dashes, such as ``learning-rate-too-high``; at most 41 characters."""
    sentence: str
    """What was seen and what to do about it; at most 300 characters are kept."""
    figure: float | None = None
    """The figure that showed it, in the unit that the sentence names."""
    threshold: float | None = None
    """What the figure was held against."""
