from __future__ import annotations

import os
from collections.abc import Callable

from tests.unit.client.conftest import gateway, make_trial, result_file, token_file, wait_for
from tests.unit.client.scripted_gateway import Reply

from tuning_client import Trial

__all__ = ["PRUNE", "SUSPEND", "gateway", "make_trial", "once_told_to_stop", "result_file", "token_file"]

# Before any library of Hugging Face is imported: it would look for newer models otherwise.
os.environ["HF_HUB_OFFLINE"] = "1"

PRUNE = Reply(body=b'{"stop": "pruned"}')
SUSPEND = Reply(body=b'{"stop": "suspended"}')


def once_told_to_stop(trial: Trial) -> Callable[[], None]:
    """What waits until the gateway's decision has arrived, so that a test need not race with it."""
    return lambda: wait_for(trial, trial.should_stop)
