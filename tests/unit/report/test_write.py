"""The process that writes the report, and what its parent learns of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from optuna.trial import TrialState as OptunaState
from tests.support.stored_studies import AT, fresh_trial
from tests.support.studies import study_spec
from tests.unit.report import samples

from tuning_operator.api.status import StudyStatus
from tuning_operator.engine.facts import TrialState
from tuning_operator.report import ReportFailed, write, write_of_trials
from tuning_operator.report.__main__ import main
from tuning_operator.report.record import StudyRecord


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'study.db'}"


@pytest.fixture(scope="module")
def study(database: str) -> StudyRecord:
    return samples.realistic(storage=database)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_the_report_of_a_study_in_a_database_is_written(study: StudyRecord, database: str, tmp_path: Path) -> None:
    output = tmp_path / "new" / "report.html"
    await write(database=database, study=study.study.study_name, status=study.status, manifest=study.manifest, output=output)
    assert output.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert names(output.parent) == ["report.html"]


async def test_a_failure_is_one_sentence_and_leaves_the_old_report(study: StudyRecord, database: str, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    output.write_text("old", encoding="utf-8")
    with pytest.raises(ReportFailed, match=r"^study '-other' is not in the database; check --study and --database$"):
        await write(database=database, study="-other", status=study.status, manifest=study.manifest, output=output)
    assert output.read_text(encoding="utf-8") == "old"


async def test_a_process_that_takes_too_long_is_given_up(study: StudyRecord, database: str, tmp_path: Path) -> None:
    name = study.study.study_name
    with pytest.raises(ReportFailed, match=r"not written within 0 s"):
        await write(
            database=database,
            study=name,
            status=study.status,
            manifest=study.manifest,
            output=tmp_path / "report.html",
            timeout_s=0,
        )
    assert names(tmp_path) == []


def run(options: dict[str, str]) -> Result:
    return CliRunner().invoke(main, [part for pair in options.items() for part in pair])


@pytest.fixture
def options(study: StudyRecord, database: str, tmp_path: Path) -> dict[str, str]:
    return arguments(study, database, tmp_path)


def arguments(study: StudyRecord, database: str, folder: Path) -> dict[str, str]:
    (folder / "result.json").write_text(study.status.model_dump_json(), encoding="utf-8")
    (folder / "manifest.json").write_text(study.manifest.model_dump_json(), encoding="utf-8")
    return {
        "--database": database,
        "--study": study.study.study_name,
        "--result": str(folder / "result.json"),
        "--manifest": str(folder / "manifest.json"),
        "--output": str(folder / "report.html"),
    }


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        pytest.param(
            {"--database": "sqlite:////nowhere/study.db"},
            "file /nowhere/study.db does not exist; check --database",
            id="no such file",
        ),
        pytest.param({"--database": "study.db"}, "the database cannot be read: Could not parse", id="not a URL"),
        pytest.param({"--study": "other"}, "study 'other' is not in the database; check --study", id="no such study"),
        pytest.param({"--result": "manifest.json"}, "is not a StudyStatus: apiVersion: Extra inputs", id="another document"),
    ],
)
def test_a_wrong_argument_is_named(options: dict[str, str], tmp_path: Path, changed: dict[str, str], sentence: str) -> None:
    with contextlib.chdir(tmp_path):
        result = run(options | changed)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert not (tmp_path / "report.html").exists()


def test_an_empty_database_stays_empty(options: dict[str, str], tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()
    result = run(options | {"--database": f"sqlite:///{empty}"})
    assert "the database cannot be read: no such table" in result.stderr
    assert empty.stat().st_size == 0


def test_last_words_that_utf8_cannot_hold_do_not_stop_the_report(tmp_path: Path) -> None:
    spec, database = study_spec(), f"sqlite:///{tmp_path / 'study.db'}"
    words = samples.trial({"learning_rate": 0.1}, spec=spec, state=OptunaState.FAIL, message="lone \udc80 half")
    study = samples.record([words], spec=spec, storage=database)
    result = run(arguments(study, database, tmp_path))
    assert result.exit_code == 0
    assert "lone ? half" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_parent_imports_neither_optuna_nor_numpy() -> None:
    check = "import sys, tuning_operator.report; print(sorted({'optuna', 'numpy', 'plotly'} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


async def test_the_report_of_trials_at_hand_is_written(study: StudyRecord, tmp_path: Path) -> None:
    manifest = study.manifest.model_copy(update={"spec": study_spec()})
    claimed = (fresh_trial(number, parameters={"learning_rate": 0.1 / (number + 1)}) for number in range(3))
    trials = [
        replace(trial, state=TrialState.COMPLETE, value=0.8125 + trial.number / 16, finished_at=AT + 60) for trial in claimed
    ]
    await write_of_trials(trials, status=StudyStatus(), manifest=manifest, output=tmp_path / "report.html")
    assert "0.8125" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert names(tmp_path) == ["report.html"]


@pytest.mark.parametrize("given", [{}, {"--database": "x"}, {"--study": "x"}, {"--study": "x", "--trials": __file__}])
def test_the_trials_are_in_one_place(options: dict[str, str], given: dict[str, str]) -> None:
    others = {name: value for name, value in options.items() if name not in {"--database", "--study"}}
    result = run(others | given)
    assert result.exit_code == 2
    assert "state where the trials are: either --database and --study, or --trials" in result.stderr
