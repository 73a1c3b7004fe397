"""The parent of one trial's process: runs it, stops it, and leaves a record of how it ended.

Run as a script by its path, with the attempt's directory as its argument: standard library only, starts in
milliseconds, and outlives `tuning run`, so that the end of a trial is never lost. Its standard input is the line to
`tuning run`: at end of file, because we are told to stop or because `tuning run` was killed, the trial and all its
processes get SIGTERM, after its grace period SIGKILL. Nothing is left running.

It holds, with the trial, the lock that `tuning run` took on the attempt's lock file before starting it: while the
lock is held and there is no record, the attempt may still be running.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

LAUNCH_FILE = "launch.json"
EXIT_FILE = "exit.json"
PROCESS_FILE = "process.json"
LOCK_FILE = "lock"
LOG_FILE = "log.txt"

_POLL_SECONDS = 0.02


def write_atomically(path: Path, document: dict[str, Any]) -> None:
    """Write JSON, for the owner's eyes alone, so that a reader sees all of it or nothing, also after a power cut."""
    scratch = path.with_suffix(".tmp")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def signal_group(group: int, number: int) -> bool:
    """Signal all processes of a group; False when there is none left."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def group_is_alive(group: int) -> bool:
    """Whether a process of the group still runs. A zombie does not: init may be slow to take it away, or be none."""
    if not signal_group(group, 0):
        return False
    if not Path("/proc/self/stat").exists():
        return True  # not Linux: zombies cannot be told from others
    return any(_runs_in(group, process) for process in Path("/proc").glob("[0-9]*/stat"))


def _runs_in(group: int, stat: Path) -> bool:
    with contextlib.suppress(OSError):
        # proc(5): the name in brackets may hold anything; state, parent and group follow it.
        state, _, found = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
        return int(found) == group and state != "Z"
    return False


def stop_at_end_of_input(group: int, grace: float, stopped: threading.Event) -> None:
    """Wait for the end of standard input, then end the trial: politely first.

    The grace period is the group's: a shell that wraps the training dies of SIGTERM at once, the training is still saving.
    """
    while os.read(0, 64):
        pass
    stopped.set()
    overdue = time.monotonic() + grace
    signal_group(group, signal.SIGTERM)
    while group_is_alive(group) and time.monotonic() < overdue:
        time.sleep(_POLL_SECONDS)
    signal_group(group, signal.SIGKILL)


def run(directory: Path) -> dict[str, Any]:
    """Run the trial to its end and say how it ended."""
    launch = json.loads((directory / LAUNCH_FILE).read_text(encoding="utf-8"))
    record: dict[str, Any] = {"started_at": time.time(), "stopped": False, "code": None, "error": None}
    stopped = threading.Event()
    try:
        with (directory / LOG_FILE).open("ab") as log, (directory / PROCESS_FILE).open("wb", buffering=0) as group_file:
            process = subprocess.Popen(  # noqa: S603 - running the user's command is the purpose
                launch["argv"],
                env={**os.environ, **launch["environment"]},
                cwd=launch["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[launch["lock_fd"]],
                # Before the first line of the trial runs it is known whom to end, should the shim be killed; and when
                # the disk is too full to say it, nothing runs.
                preexec_fn=lambda: group_file.write(json.dumps({"pgid": os.getpid()}).encode()),  # noqa: PLW1509 - no thread yet
            )
    except OSError as error:
        what = error.filename or launch["argv"][0]  # the command, or the folder it was to run in
        return record | {"error": f"{what}: {error.strerror}", "ended_at": time.time()}
    group = process.pid
    watcher = threading.Thread(target=stop_at_end_of_input, args=(group, launch["grace"], stopped), daemon=True)
    watcher.start()
    code = process.wait()
    if stopped.is_set():
        watcher.join()
    # What the trial itself started, such as data loaders, must not hold the machine.
    signal_group(group, signal.SIGKILL)
    return record | {"code": code, "stopped": stopped.is_set(), "ended_at": time.time()}


def main() -> None:
    """Run the attempt of the directory given as argument."""
    directory = Path(sys.argv[1])
    write_atomically(directory / EXIT_FILE, run(directory))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
