"""Real processes under real shims."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tuning_operator.engine.facts import Ended, Outcome, Phase
from tuning_operator.runtime.local.command import LocalCommand
from tuning_operator.runtime.local.runtime import Credentials, LocalRuntime, Place
from tuning_operator.runtime.protocol import AttemptKey, Launch, RuntimeUnavailableError

KEY = AttemptKey(3, 0)
ENVIRONMENT = {"TUNING_ROLE": "search", "TUNING_PARAM_X": "0.25"}
LAUNCH = Launch(key=KEY, environment=ENVIRONMENT)
PATIENCE = 30  # seconds; only ever waited for when something is broken


class Watched:
    """A runtime, and a way to wait until what it observes satisfies a condition."""

    def __init__(self, root: Path, script: str, *, grace: float, incarnation: str, final: LocalCommand | None) -> None:
        self._event = asyncio.Event()
        self.revoked: list[AttemptKey] = []
        credentials = Credentials(
            endpoint="http://127.0.0.1:9", issue=lambda key: f"token-{key.trial}", revoke=self.revoked.append
        )
        command = LocalCommand(argv=("sh", "-c", script), environment={}, cwd=None)
        self.runtime = LocalRuntime(
            Place(root=root, incarnation=incarnation),
            command,
            credentials,
            changed=self._event.set,
            grace=grace,
            final=final,
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._event.clear()
                await self._event.wait()

    async def end(self, key: AttemptKey = KEY) -> Ended:
        await self.until(lambda: self.runtime.observe()[key].phase is Phase.ENDED)
        ended = self.runtime.observe()[key].ended
        assert ended is not None
        return ended


@asynccontextmanager
async def running(
    root: Path, script: str, *, grace: float = 5.0, incarnation: str = "one", final: LocalCommand | None = None
) -> AsyncIterator[Watched]:
    watched = Watched(root, script, grace=grace, incarnation=incarnation, final=final)
    await watched.runtime.open()
    try:
        yield watched
    finally:
        await watched.runtime.close()


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def read_line(path: Path) -> str:
    with path.open() as pipe:
        return pipe.readline().strip()


def held(path: Path) -> str:
    """A command that tells that it is ready, then waits for ever without a child that could outlive it."""
    return f"echo ready > {path}; while :; do sleep 1000 & wait $!; done"


async def test_a_result_file_becomes_the_outcome(tmp_path: Path) -> None:
    async with running(tmp_path, """printf '{"x": %s}' $TUNING_PARAM_X > $TUNING_RESULT_FILE""") as it:
        await it.runtime.start(LAUNCH)
        ended = await it.end()
    assert (ended.outcome, dict(ended.metrics)) == (Outcome.SUCCEEDED, {"x": 0.25})


async def test_the_trial_finds_its_token_and_its_directories(tmp_path: Path) -> None:
    script = 'test "$(cat $TUNING_TOKEN_FILE)" = token-3 && test -d $TUNING_CHECKPOINT_DIR && test -d $TUNING_OUTPUT_DIR'
    async with running(tmp_path, script) as it:
        await it.runtime.start(LAUNCH)
        assert (await it.end()).outcome is Outcome.SUCCEEDED


async def test_starting_an_attempt_twice_runs_it_once(tmp_path: Path) -> None:
    async with running(tmp_path, f"echo ran >> {tmp_path}/runs") as it:
        await it.runtime.start(LAUNCH)
        await it.runtime.start(LAUNCH)
        await it.end()
    assert (tmp_path / "runs").read_text() == "ran\n"


async def test_a_command_that_does_not_exist_is_a_configuration_error(tmp_path: Path) -> None:
    credentials = Credentials(endpoint="", issue=lambda _: "", revoke=lambda _: None)
    seen = asyncio.Event()
    command = LocalCommand(argv=("/no/such/command",), environment={}, cwd=None)
    runtime = LocalRuntime(Place(root=tmp_path, incarnation="one"), command, credentials, changed=seen.set)
    await runtime.start(LAUNCH)
    await runtime.close()
    ended = runtime.observe()[KEY].ended
    assert ended is not None
    assert ended.outcome is Outcome.CONFIGURATION
    assert "/no/such/command: No such file or directory" in ended.message


async def test_a_stopped_trial_gets_sigterm_and_may_save(tmp_path: Path) -> None:
    ready = fifo(tmp_path / "ready")
    script = f"trap 'echo saved > {tmp_path}/saved; exit 75' TERM; {held(ready)}"
    async with running(tmp_path, script) as it:
        await it.runtime.start(LAUNCH)
        await asyncio.to_thread(read_line, ready)
        await it.runtime.stop(KEY)
        assert it.runtime.observe()[KEY].stopping
        ended = await it.end()
    assert ended.outcome is Outcome.DISRUPTED
    assert (tmp_path / "saved").exists()


async def test_a_trial_that_ignores_sigterm_is_killed_after_its_grace_period(tmp_path: Path) -> None:
    ready = fifo(tmp_path / "ready")
    async with running(tmp_path, f"trap '' TERM; {held(ready)}", grace=0.1) as it:
        await it.runtime.start(LAUNCH)
        await asyncio.to_thread(read_line, ready)
        await it.runtime.stop(KEY)
        assert (await it.end()).outcome is Outcome.DISRUPTED


async def test_what_a_trial_leaves_running_ends_with_it(tmp_path: Path) -> None:
    alive = fifo(tmp_path / "alive")
    # The child holds the pipe open for writing: its end of file tells that the child is gone.
    async with running(tmp_path, f"(exec 3> {alive}; exec sleep 1000) & exec 3> {alive}; exit 0") as it:
        await it.runtime.start(LAUNCH)
        assert await asyncio.wait_for(asyncio.to_thread(alive.read_bytes), PATIENCE) == b""
        assert (await it.end()).outcome is Outcome.SUCCEEDED


async def test_after_release_only_the_log_and_the_result_stay(tmp_path: Path) -> None:
    async with running(tmp_path, "echo hello; echo '{}' > $TUNING_RESULT_FILE; echo 1 > $TUNING_CHECKPOINT_DIR/c") as it:
        await it.runtime.start(LAUNCH)
        await it.end()
        await it.runtime.release(KEY, final=True)
        assert KEY not in it.runtime.observe()
        assert it.revoked == [KEY]
    attempt = tmp_path / "trials" / "00003" / "attempt-0"
    assert (attempt / "log.txt").read_text() == "hello\n"
    assert not (attempt / "token").exists()
    assert not (tmp_path / "trials" / "00003" / "checkpoints").exists()
    async with running(tmp_path, "true") as again:
        assert not again.runtime.observe()


async def test_checkpoints_stay_while_the_trial_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, "echo 1 > $TUNING_CHECKPOINT_DIR/c; exit 75") as it:
        await it.runtime.start(LAUNCH)
        await it.end()
        await it.runtime.release(KEY, final=False)
        next_attempt = Launch(key=AttemptKey(3, 1), environment=ENVIRONMENT)
        await it.runtime.start(next_attempt)
        await it.end(next_attempt.key)
    assert (tmp_path / "trials" / "00003" / "checkpoints" / "c").exists()


async def test_a_run_of_the_final_evaluation_has_a_command_of_its_own(tmp_path: Path) -> None:
    final = LocalCommand(argv=("sh", "-c", """printf '{"x": 1}' > $TUNING_RESULT_FILE"""), environment={}, cwd=None)
    async with running(tmp_path, "exit 1", final=final) as it:
        await it.runtime.start(Launch(key=KEY, environment=ENVIRONMENT | {"TUNING_ROLE": "final"}))
        assert dict((await it.end()).metrics) == {"x": 1.0}


PARENT = """
import asyncio, sys
from pathlib import Path
from tuning_operator.runtime.local.command import LocalCommand
from tuning_operator.runtime.local.runtime import Credentials, LocalRuntime, Place
from tuning_operator.runtime.protocol import AttemptKey, Launch

async def main():
    credentials = Credentials(endpoint="", issue=lambda _: "t", revoke=lambda _: None)
    command = LocalCommand(argv=("sh", "-c", sys.argv[2]), environment={}, cwd=None)
    runtime = LocalRuntime(Place(root=Path(sys.argv[1]), incarnation="one"), command, credentials, changed=lambda: None)
    await runtime.start(Launch(key=AttemptKey(3, 0), environment={"TUNING_ROLE": "search"}))
    await asyncio.Event().wait()

asyncio.run(main())
"""


def start_parent(root: Path, script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PARENT, str(root), script])


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


async def test_when_its_parent_is_killed_the_trial_saves_and_is_resumable(tmp_path: Path) -> None:
    ready = fifo(tmp_path / "ready")
    script = f"trap 'echo saved > {tmp_path}/saved; exit 75' TERM; {held(ready)}"
    parent = await asyncio.to_thread(start_parent, tmp_path, script)
    await asyncio.to_thread(read_line, ready)
    kill(parent)
    async with running(tmp_path, "true") as it:
        ended = await it.end()
    assert ended.outcome is Outcome.DISRUPTED
    assert (tmp_path / "saved").exists()


async def test_a_result_written_after_the_parent_was_killed_is_not_lost(tmp_path: Path) -> None:
    ready, go = fifo(tmp_path / "ready"), fifo(tmp_path / "go")
    script = f"""trap '' TERM; echo ready > {ready}; read x < {go}; printf '{{"x": 7}}' > $TUNING_RESULT_FILE"""
    parent = await asyncio.to_thread(start_parent, tmp_path, script)
    await asyncio.to_thread(read_line, ready)
    kill(parent)
    async with running(tmp_path, "true") as it:
        assert it.runtime.observe()[KEY].phase is Phase.RUNNING, "an orphan holds its slot until it has ended"
        await asyncio.to_thread(go.write_text, "go\n")
        ended = await it.end()
    assert (ended.outcome, dict(ended.metrics)) == (Outcome.SUCCEEDED, {"x": 7.0})


async def test_when_the_shim_is_killed_its_trial_is_ended_too_and_counts_as_disrupted(tmp_path: Path) -> None:
    ready = fifo(tmp_path / "ready")
    async with running(tmp_path, f"echo $PPID > {tmp_path}/shim; echo $$$$ > {tmp_path}/trial; {held(ready)}") as it:
        await it.runtime.start(LAUNCH)
        await asyncio.to_thread(read_line, ready)
        os.kill(int((tmp_path / "shim").read_text()), signal.SIGKILL)
        ended = await it.end()
    assert (ended.outcome, ended.reason) == (Outcome.DISRUPTED, "Lost")
    trial = int((tmp_path / "trial").read_text())
    assert await asyncio.to_thread(ends, trial)


def ends(pid: int) -> bool:
    """Wait until a process that is not our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], PATIENCE)[0])
    finally:
        os.close(descriptor)


async def test_an_attempt_cut_off_by_a_power_failure_was_disrupted(tmp_path: Path) -> None:
    attempt = tmp_path / "trials" / "00003" / "attempt-0"
    attempt.mkdir(parents=True)
    (attempt / "launch.json").write_text(json.dumps({"incarnation": "one"}))
    async with running(tmp_path, "true") as it:
        assert (await it.end()).reason == "Lost"


ODD_RESULTS = {
    "a directory": ("mkdir $TUNING_RESULT_FILE", "no regular file"),
    "a FIFO": ("mkfifo $TUNING_RESULT_FILE", "no regular file"),
    "far too long": ("head -c 100000000 /dev/zero > $TUNING_RESULT_FILE", "more than 4096"),
    "gone with everything else": ("rm -r $(dirname $TUNING_RESULT_FILE)", "left no record"),
}


@pytest.mark.parametrize(("script", "says"), ODD_RESULTS.values(), ids=ODD_RESULTS.keys())
async def test_the_end_of_a_trial_is_seen_when_its_result_is(script: str, says: str, tmp_path: Path) -> None:
    async with running(tmp_path, script.replace("$(", "$$(")) as it:
        await it.runtime.start(LAUNCH)
        ended = await it.end()
    assert ended.outcome in (Outcome.FAILED, Outcome.DISRUPTED)
    assert says in ended.message


async def test_the_grace_period_is_that_of_a_wrapped_training_too(tmp_path: Path) -> None:
    ready, saving = fifo(tmp_path / "ready"), fifo(tmp_path / "saving")
    # The outer shell dies of SIGTERM at once; the inner one is still saving, until it is read from the pipe.
    # A `sleep` begun just after the signal was sent has not got it: it would hold the grace period to its end.
    leave = "kill $! 2>/dev/null; exit 75"
    inner = f"trap 'echo saved > {saving}; echo saved > {tmp_path}/saved; {leave}' TERM; {held(ready)}"
    (tmp_path / "inner.sh").write_text(inner)
    async with running(tmp_path, f"sh {tmp_path}/inner.sh; echo done", grace=PATIENCE) as it:
        await it.runtime.start(LAUNCH)
        await asyncio.to_thread(read_line, ready)
        await it.runtime.stop(KEY)
        await asyncio.to_thread(read_line, saving)
        assert (await it.end()).outcome is Outcome.DISRUPTED
    assert (tmp_path / "saved").exists()


async def test_a_daemon_that_a_trial_left_behind_does_not_hold_its_record_back(tmp_path: Path) -> None:
    ready, daemon = fifo(tmp_path / "ready"), fifo(tmp_path / "daemon")
    daemonize = f"setsid sh -c 'echo $$$$ > {daemon}; exec sleep 1000' &"
    script = daemonize + """ printf '{"x": 7}' > $TUNING_RESULT_FILE; """ + f"echo ready > {ready}"
    parent = await asyncio.to_thread(start_parent, tmp_path, script)
    pid = int(await asyncio.to_thread(read_line, daemon))
    try:
        await asyncio.to_thread(read_line, ready)
        kill(parent)
        async with running(tmp_path, "true") as it:
            assert dict((await it.end()).metrics) == {"x": 7.0}
    finally:
        os.kill(pid, signal.SIGKILL)


async def test_what_an_earlier_study_left_in_the_directory_is_not_taken_for_its_own(tmp_path: Path) -> None:
    async with running(tmp_path, """printf '{"x": 1}' > $TUNING_RESULT_FILE""") as it:
        await it.runtime.start(LAUNCH)
        await it.end()
    async with running(tmp_path, """printf '{"x": 2}' > $TUNING_RESULT_FILE""", incarnation="two") as other:
        assert not other.runtime.observe()
        await other.runtime.start(LAUNCH)
        assert dict((await other.end()).metrics) == {"x": 2.0}


async def test_what_the_trial_is_told_is_for_its_owner_s_eyes(tmp_path: Path) -> None:
    ready = fifo(tmp_path / "ready")
    async with running(tmp_path, held(ready)) as it:
        await it.runtime.start(LAUNCH)
        await asyncio.to_thread(read_line, ready)
        attempt = tmp_path / "trials" / "00003" / "attempt-0"
        assert all((attempt / name).stat().st_mode & 0o077 == 0 for name in ("launch.json", "token"))


async def test_a_machine_that_cannot_start_a_process_says_so_and_can_be_asked_again(tmp_path: Path) -> None:
    async with running(tmp_path, "true") as it:
        (tmp_path / "trials").write_text("in the way")
        with pytest.raises(RuntimeUnavailableError, match="trial 3 cannot be started"):
            await it.runtime.start(LAUNCH)
        (tmp_path / "trials").unlink()
        await it.runtime.start(LAUNCH)
        assert (await it.end()).outcome is Outcome.SUCCEEDED


async def test_who_does_not_wait_leaves_the_end_to_the_shim(tmp_path: Path) -> None:
    ready, go = fifo(tmp_path / "ready"), fifo(tmp_path / "go")
    script = f"trap '' TERM; echo ready > {ready}; read x < {go}; exit 75"
    async with running(tmp_path, script, grace=PATIENCE) as it:
        await it.runtime.start(LAUNCH)
        await asyncio.to_thread(read_line, ready)
        it.runtime.abandon()
    await asyncio.to_thread(go.write_text, "go\n")
    async with running(tmp_path, "true") as again:
        assert (await again.end()).outcome is Outcome.DISRUPTED
