"""Writes the report of a study: the process that `tuning_operator.report.write` starts."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import click
import optuna
import sqlalchemy
from pydantic import ValidationError

from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import TuningStudy
from tuning_operator.report.handed import study_of
from tuning_operator.report.launch import DATABASE_VARIABLE, TRIALS
from tuning_operator.report.page import render, save
from tuning_operator.report.quiet import quiet_optuna
from tuning_operator.report.record import StudyRecord

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_Model = TypeVar("_Model", StudyStatus, TuningStudy)


@click.command(context_settings={"max_content_width": 100})
@click.option("--database", envvar=DATABASE_VARIABLE, show_envvar=True, help="URL, as SQLAlchemy reads it.")
@click.option("--study", "name", help="The study's name in the database.")
@click.option("--trials", type=_FILE, help="The study's trials, as this program hands them over, instead of --database.")
@click.option("--result", required=True, type=_FILE, help="The study's status, as JSON.")
@click.option("--manifest", required=True, type=_FILE, help="The study as its user stated it, as JSON.")
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
def main(*, database: str | None, name: str | None, trials: Path | None, result: Path, manifest: Path, output: Path) -> None:
    """Write the report of a study into one HTML file."""
    with quiet_optuna():
        stated = _read(manifest, TuningStudy)
        record = StudyRecord(
            manifest=stated,
            status=_read(result, StudyStatus),
            study=_study(stated, database=database, name=name, trials=trials),
        )
        text = render(record)
    save(output, text)


def _read(path: Path, model: type[_Model]) -> _Model:
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise click.ClickException(f"{path} is not a {model.__name__}: {where}: {first['msg']}") from None


def _study(manifest: TuningStudy, *, database: str | None, name: str | None, trials: Path | None) -> optuna.Study:
    match database, name, trials:
        case str(), str(), None:
            return _load(database, name)
        case None, None, Path():
            return study_of(manifest, TRIALS.validate_json(trials.read_bytes()))
    raise click.UsageError("state where the trials are: either --database and --study, or --trials")


def _load(database: str, name: str) -> optuna.Study:
    try:
        # The report only reads: it must create neither tables nor, as SQLite would, the file itself.
        url = sqlalchemy.make_url(database)
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
            raise click.ClickException(f"the database file {url.database} does not exist; check --database")
        storage = optuna.storages.RDBStorage(database, skip_table_creation=True)
        return optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        raise click.ClickException(f"study {name!r} is not in the database; check --study and --database") from None
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError) as error:
        raise click.ClickException(f"the database cannot be read: {_cause(error)}; check --database") from None


def _cause(error: BaseException) -> str:
    """The driver's own words, which SQLAlchemy and Optuna wrap."""
    inner = getattr(error, "orig", None) or error.__cause__
    return _cause(inner) if inner else str(error).strip().splitlines()[0]


if __name__ == "__main__":
    main(prog_name="python -m tuning_operator.report")
