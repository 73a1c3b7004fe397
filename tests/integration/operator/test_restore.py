"""An older database is put in the place of the one that was in use, while Jobs of the newer one run on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cluster.waiting import until
from tests.integration.operator.conftest import StartOperator
from tests.integration.operator.team import OURS, PATIENCE, Team, attempt_of, result, study
from tests.support.watching import recording


def copy(source: Path, target: Path) -> None:
    """As docs/operations.md does it."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def test_trials_after_the_backup_run_anew_and_no_job_of_before_is_taken_for_them(
    team: Team, start_operator: StartOperator, tmp_path: Path
) -> None:
    database, backup = tmp_path / "studies.db", tmp_path / "backup.db"
    operator = start_operator()
    with recording(team.space.server, f"/apis/batch/v1/namespaces/{team.space.name}/jobs", selector=OURS) as jobs:
        team.apply(study(budget={"maxTrials": 3, "parallelism": 2}))
        first, _ = team.run((0, 0), (1, 0))
        team.wait_counts(running=2)
        copy(database, backup)
        team.end(first, message=result(0.0))
        _, third = team.wait_pods((1, 0), (2, 0))
        team.kubelet.run(team.space.name, third)
        team.wait_counts(succeeded=1, running=2)
        operator.kill()
        for file in tmp_path.glob("studies.db*"):
            file.unlink()
        copy(backup, database)
        # Its value must not become that of the trial which gets its number.
        team.end(third, message=result(99.0))
        until(
            lambda: any(job["status"].get("succeeded") and attempt_of(job) == (2, 0) for job in team.jobs()),
            seconds=PATIENCE,
            what="a trial that the backup does not know has ended",
        )
        operator.start_again()
        status = team.work_until_finished()
        made = [attempt_of(job) for job in jobs.objects("ADDED")]
    assert (status["trials"]["succeeded"], status["trials"]["disrupted"]) == (3, 1)
    assert status["best"]["value"] == 2.0
    assert sorted(made) == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 0)]
