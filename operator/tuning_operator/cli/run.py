"""`tuning run`: a whole study on this machine, its trials as processes."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import TuningStudy
from tuning_operator.cli.directory import StudyDirectory
from tuning_operator.cli.progress import shown
from tuning_operator.cli.result import result_table
from tuning_operator.cli.session import LocalSession, open_session
from tuning_operator.report.launch import ReportFailed
from tuning_operator.report.launch import write as write_report


class ExitCode(IntEnum):
    """How `tuning run` ended."""

    SUCCEEDED = 0
    FAILED = 1
    REFUSED = 2  # the manifest or the call
    STALLED = 3  # something must be mended or resumed first; the same command then goes on
    INTERRUPTED = 130  # by Ctrl-C; the same command goes on


async def run_study(study: TuningStudy, output: Path, *, parallelism: int | None, console: Console) -> ExitCode:
    """Run a study to its end, or to the first Ctrl-C, and write its result and its report.

    Raises:
        ManifestError, StoreError, DirectoryInUseError: it cannot be run so.
    """
    directory = StudyDirectory(output)
    with _logging_to(directory.log_file):
        async with open_session(study, directory, parallelism=parallelism) as session:
            choice = session.controller.choice
            console.print(Text(f"search: {choice.sampler}, {choice.reason}"), soft_wrap=True)
            if session.note:
                console.print(Text(session.note, style="yellow"))
            title = f"study {study.metadata.name}"
            with _interrupts(session, console), shown(console, title, told=session.told_before) as progress:
                session.watch(progress)
                session.watch(lambda _facts, status: write_result(directory, status))
                status = await session.run(trouble=lambda words: console.print(Text(words, style="yellow")))
        console.print(result_table(study.spec, status))
        await _write_report(session.study_name, study, status, directory=directory, console=console)
    return _exit_code(study, status, console, output)


def write_result(directory: StudyDirectory, status: StudyStatus) -> None:
    """Write the status into result.json; a reader sees a whole one at any time."""
    text = status.model_dump_json(indent=2, exclude_none=True)
    scratch = directory.result_file.with_suffix(".tmp")
    scratch.write_text(text + "\n", encoding="utf-8")
    scratch.replace(directory.result_file)


def write_manifest(directory: StudyDirectory, study: TuningStudy) -> None:
    """Write the study as its user stated it into study.json."""
    directory.manifest_file.write_text(study.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")


async def _write_report(
    study_name: str, study: TuningStudy, status: StudyStatus, *, directory: StudyDirectory, console: Console
) -> None:
    write_manifest(directory, study)
    try:
        await write_report(
            database=directory.database_url, study=study_name, status=status, manifest=study, output=directory.report_file
        )
    except ReportFailed as error:
        # The study is done and stored; its picture can be drawn again.
        console.print(Text(f"report.html was not written: {error}", style="yellow"))


def _exit_code(study: TuningStudy, status: StudyStatus, console: Console, output: Path) -> ExitCode:
    console.print(Text(f"Everything is in {output}: result.json, report.html, study.db, trials/"), soft_wrap=True)
    stalled = any(condition.type == "Stalled" and condition.status == "True" for condition in status.conditions)
    if status.phase == "Succeeded":
        return ExitCode.SUCCEEDED
    if status.phase == "Failed":
        console.print(Text(f"Every attempt's log is {output}/trials/*/attempt-*/log.txt. A new study needs another --output."))
        return ExitCode.FAILED
    if study.spec.suspend:
        console.print("spec.suspend is true; set it to false and run the same command again to go on.")
        return ExitCode.STALLED
    console.print("Mend it and run the same command again." if stalled else "Run the same command again to go on.")
    return ExitCode.STALLED if stalled else ExitCode.INTERRUPTED


@contextmanager
def _interrupts(session: LocalSession, console: Console) -> Iterator[None]:
    """The first Ctrl-C suspends the study, so that its trials save and leave; a second one does not wait for them."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None, "called from a coroutine"
    asked = False

    def interrupt() -> None:
        nonlocal asked
        if asked:
            session.abandon()
            task.cancel()
            return
        asked = True
        console.print("Stopping the running trials; press Ctrl-C again not to wait.", style="yellow")
        session.suspend()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class _QuietFileHandler(logging.FileHandler):
    """A full disk must not flood the terminal with what could not be logged."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Drop the record."""


@contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    """What the program has to say besides goes to a file beside the study: the terminal belongs to the progress."""
    handler = _QuietFileHandler(file, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.INFO)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
