"""`python -m tuning_trainer --dataset=digits --model=mlp`: one training, by hand or as a trial of a study."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import tuning_client
from tuning_trainer.resolve import resolve


def main(arguments: Sequence[str]) -> None:
    """Run one training, in the way that the trial's role asks for.

    Raises:
        SystemExit: with code 75 when it was interrupted, 78 when a setting is wrong.
    """
    with tuning_client.trial() as trial:
        settings = resolve(arguments, trial.parameters, folds=trial.folds)
        # After the settings: torch takes seconds to import, and a wrong setting is told at once.
        from tuning_trainer import memory  # noqa: PLC0415
        from tuning_trainer.final import evaluate_final  # noqa: PLC0415
        from tuning_trainer.lr_range import find_range  # noqa: PLC0415
        from tuning_trainer.train import train  # noqa: PLC0415

        with memory.ending_the_trial(trial):
            match trial.role:
                case "final":
                    evaluate_final(trial, settings)
                case "lr-range":
                    find_range(trial, settings)
                case _:
                    train(trial, settings)


if __name__ == "__main__":
    main(sys.argv[1:])
