from pathlib import Path

import pytest
from tests.support.trainings import TrialFolder


@pytest.fixture
def trial(tmp_path: Path) -> TrialFolder:
    folder = TrialFolder(tmp_path / "trial")
    folder.path.mkdir()
    return folder
