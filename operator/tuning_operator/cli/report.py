"""`tuning report`: the report of a study in a cluster, drawn on this machine."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from tuning_operator.api.status import StudyStatus
from tuning_operator.cli.cluster import ClusterError
from tuning_operator.cli.directory import StudyDirectory
from tuning_operator.cli.remote import RemoteStudy
from tuning_operator.cli.result import result_table
from tuning_operator.cli.run import write_manifest, write_result
from tuning_operator.gateway.people_wire import facts_of
from tuning_operator.report import write_of_trials


async def report_study(remote: RemoteStudy, output: Path, *, uid: str, console: Console) -> None:
    """Write report.html, result.json and study.json of a study, finished or not.

    Raises:
        ClusterError: the study cannot be read, or the directory belongs to a study of this machine.
        ReportFailed: the report cannot be drawn; the other files are there.
        OSError: the directory cannot be written.
    """
    directory = StudyDirectory(output)
    if directory.database_file.exists():
        raise ClusterError(f"{output} holds a study that `tuning run` ran on this machine; choose another --output")
    document = remote.document(uid=uid)
    study = document.study.model_copy(update={"status": None})
    status = document.study.status or StudyStatus()
    directory.create()
    write_result(directory, status)
    write_manifest(directory, study)
    trials = facts_of(study.spec, document).trials
    await write_of_trials(trials, status=status, manifest=study, output=directory.report_file)
    console.print(result_table(study.spec, status))
    console.print(Text(f"Everything is in {output}: report.html, result.json, study.json"), soft_wrap=True)
