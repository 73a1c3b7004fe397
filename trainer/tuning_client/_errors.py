"""What a training script raises, and the exit codes with which it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tuning_client._diagnosis import Diagnosis

INTERRUPTED_EXIT_CODE: Final = 75
"""EX_TEMPFAIL of sysexits.h: the trial was interrupted; run it again from its checkpoint."""

CONFIGURATION_EXIT_CODE: Final = 78
"""EX_CONFIG of sysexits.h: every trial of the study would fail like this one; the study waits until it is mended."""


class Pruned(Exception):  # noqa: N818 - an outcome, not an error
    """Raised by a script whose trial is not worth finishing; leaving the trial's block with it is a success."""

    def __init__(self, *args: object, diagnoses: Sequence[Diagnosis] = ()) -> None:
        """What was wrong with the training so far belongs into `diagnoses`."""
        super().__init__(*args)
        self.diagnoses = tuple(diagnoses)


class ConfigurationError(Exception):
    """The study or the script is wrong in a way that no other parameters would mend. One sentence with the remedy."""
