"""What a training script imports. It needs nothing but Python, and works by hand as well as in a study.

    import tuning_client

    with tuning_client.trial() as trial:
        learning_rate = trial.param("learning_rate", 1e-3)
        for epoch in range(30):
            ...
            trial.report(epoch, val_accuracy=accuracy)
            if trial.interrupted:
                ...  # save a checkpoint
                trial.exit_interrupted()
            if trial.should_prune():
                raise tuning_client.Pruned
        trial.result(val_accuracy=accuracy)

Without a study around it `param` answers its defaults, and `report` and `result` print. Inside a study they
speak the contract with a trial's container (docs/contract.md). A gateway that is away neither stops nor delays
the training. In distributed training only one process, such as rank 0, should report.
"""

from tuning_client._diagnosis import Diagnosis
from tuning_client._errors import CONFIGURATION_EXIT_CODE, INTERRUPTED_EXIT_CODE, ConfigurationError, Pruned
from tuning_client._trial import Trial, trial

__all__ = [
    "CONFIGURATION_EXIT_CODE",
    "INTERRUPTED_EXIT_CODE",
    "ConfigurationError",
    "Diagnosis",
    "Pruned",
    "Trial",
    "trial",
]
