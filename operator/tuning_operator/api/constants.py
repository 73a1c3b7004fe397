"""Names that other programs see. Changing one is an API change."""

from typing import Final

GROUP: Final = "tuningstudy.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "TuningStudy"

TRAINER_CONTAINER: Final = "trainer"
"""With several containers in the template, the one of this name is the trial."""

TRAINER_IMAGE: Final = "tuning-trainer"
"""Repository name of the trainer image that this distribution builds."""

VARIABLE_PREFIX: Final = "TUNING_"
"""Of every variable that a trial is told; a template that sets one of them is refused."""
