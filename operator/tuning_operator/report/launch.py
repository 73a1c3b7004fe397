"""The parent's side: run the process that writes the report, and say in one sentence why it failed."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import ConfigDict, TypeAdapter

from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import TuningStudy
from tuning_operator.engine.facts import Trial

DATABASE_VARIABLE: Final = "TUNING_REPORT_DATABASE"
"""Stands in for --database: a URL can hold a password, and every user of a machine can read command lines."""

TRIALS: Final = TypeAdapter(tuple[Trial, ...], config=ConfigDict(ser_json_inf_nan="strings"))
"""Reads the file of --trials. Only this program writes it: it is no interface."""

_TIMEOUT_S: Final = 300.0


class ReportFailed(Exception):  # noqa: N818 - the state it names, as in `except ReportFailed`
    """The report could not be written. Its text is the sentence to show."""


async def write(
    *, database: str, study: str, status: StudyStatus, manifest: TuningStudy, output: Path, timeout_s: float = _TIMEOUT_S
) -> None:
    """Write the report of a study into one HTML file, in a process of its own.

    Args:
        database: URL of the database as SQLAlchemy reads it, such as ``sqlite:////home/me/study.db``.
        study: the study's name in the database.
        status: what is known of the study now.
        manifest: the study as its user stated it.
        output: the file to write; replaced whole or not at all.
        timeout_s: seconds after which the process is given up.

    Raises:
        ReportFailed: the process failed or took too long; the output is as it was before.
    """
    with tempfile.TemporaryDirectory(prefix="tuning-report-") as folder:
        arguments = [f"--study={study}", *_arguments(Path(folder), status=status, manifest=manifest, output=output)]
        await _run(arguments, environment={**os.environ, DATABASE_VARIABLE: database}, timeout_s=timeout_s)


async def write_of_trials(
    trials: Sequence[Trial], *, status: StudyStatus, manifest: TuningStudy, output: Path, timeout_s: float = _TIMEOUT_S
) -> None:
    """Write the report of a study whose trials are at hand, as `write` does.

    Raises:
        ReportFailed: the process failed or took too long; the output is as it was before.
    """
    with tempfile.TemporaryDirectory(prefix="tuning-report-") as folder:
        file = Path(folder) / "trials.json"
        file.write_bytes(trials_json(trials))
        arguments = [f"--trials={file}", *_arguments(Path(folder), status=status, manifest=manifest, output=output)]
        environment = {name: value for name, value in os.environ.items() if name != DATABASE_VARIABLE}
        await _run(arguments, environment=environment, timeout_s=timeout_s)


def trials_json(trials: Sequence[Trial]) -> bytes:
    """What stands in the file of --trials."""
    # An empty mapping of a trial is a proxy, at which pydantic wonders.
    return TRIALS.dump_json(tuple(trials), fallback=dict, warnings=False)


def _arguments(folder: Path, *, status: StudyStatus, manifest: TuningStudy, output: Path) -> list[str]:
    result_file, manifest_file = folder / "result.json", folder / "manifest.json"
    result_file.write_text(status.model_dump_json(), encoding="utf-8")
    manifest_file.write_text(manifest.model_dump_json(), encoding="utf-8")
    options = {"--result": result_file, "--manifest": manifest_file, "--output": output.absolute()}
    # --name=value: a name that begins with a dash stays a value.
    return [f"{option}={value}" for option, value in options.items()]


async def _run(arguments: list[str], *, environment: dict[str, str], timeout_s: float) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tuning_operator.report",
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_s):
            _, stderr = await process.communicate()
    except TimeoutError:
        raise ReportFailed(f"the report was not written within {timeout_s:g} s; the database may be slow or away") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = stderr.decode(errors="replace").strip().splitlines() or [f"Error: exit code {process.returncode}"]
        raise ReportFailed(lines[-1].removeprefix("Error: "))
