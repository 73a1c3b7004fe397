from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.unit.client.scripted_gateway import PATIENCE, ScriptedGateway

from tuning_client import Trial
from tuning_client._courier import Pace
from tuning_client._environment import read

QUICK = Pace(
    between_requests=0.0,
    between_questions=3600.0,
    request=PATIENCE,
    first_retry=0.01,
    longest_retry=0.01,
    last_retries=0.01,
    result=PATIENCE,
    farewell=PATIENCE,
)

MakeTrial = Callable[..., Trial]


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    with ScriptedGateway() as running:
        yield running


@pytest.fixture
def result_file(tmp_path: Path) -> Path:
    return tmp_path / "result.json"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("first\n")
    return file


@pytest.fixture
def make_trial(gateway: ScriptedGateway, result_file: Path, token_file: Path) -> Iterator[MakeTrial]:
    """A trial of a study whose objective is val_accuracy, closed at the end. Keywords override its environment."""
    with ExitStack() as trials:

        def make(pace: Pace = QUICK, **environment: str) -> Trial:
            told = {
                "TUNING_TRIAL": "3",
                "TUNING_METRIC": "val_accuracy",
                "TUNING_RESULT_FILE": str(result_file),
                "TUNING_TOKEN_FILE": str(token_file),
                "TUNING_ENDPOINT": gateway.endpoint,
            }
            trial = Trial(read(told | environment), pace)
            trials.callback(trial.close)
            return trial

        yield make


def wait_for(trial: Trial, condition: Callable[[], bool]) -> None:
    """Wait until what the trial heard of the gateway makes the condition true."""
    assert trial._courier is not None
    with trial._courier.changed:
        assert trial._courier.changed.wait_for(condition, PATIENCE)
