"""The parent of one trial's process: runs it, stops it, and leaves a record of how it ended.

Run as a script by its path, with the attempt's directory as its argument: standard library only, starts in
milliseconds, and outlives `tuning run`, so that the end of a trial is never lost. Its standard input is the line to
`tuning run`: at end of file, because we are told to stop or because `tuning run` was killed, the trial gets SIGTERM,
after its grace period SIGKILL. Nothing is left running.

It holds, with the trial, the lock that `tuning run` took on the attempt's lock file before starting it: while the
lock is held, the attempt may still be running.
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
LOCK_FILE = "lock"
LOG_FILE = "log.txt"


def write_atomically(path: Path, document: dict[str, Any]) -> None:
    """Write JSON so that a reader sees all of it or nothing, also after a power cut."""
    scratch = path.with_suffix(".tmp")
    with scratch.open("w") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the trial's process group; one that is gone needs none."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def stop_at_end_of_input(process: subprocess.Popen[bytes], grace: float, stopped: threading.Event) -> None:
    """Wait for the end of standard input, then end the trial: politely first."""
    while os.read(0, 64):
        pass
    stopped.set()
    signal_group(process, signal.SIGTERM)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        signal_group(process, signal.SIGKILL)


def run(directory: Path) -> dict[str, Any]:
    """Run the trial to its end and say how it ended."""
    launch = json.loads((directory / LAUNCH_FILE).read_text())
    started = time.time()
    record: dict[str, Any] = {"started_at": started, "stopped": False, "code": None, "error": None}
    stopped = threading.Event()
    try:
        with (directory / LOG_FILE).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - running the user's command is the purpose
                launch["argv"],
                env=launch["environment"],
                cwd=launch["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[launch["lock_fd"]],
            )
    except OSError as error:
        return record | {"error": f"{launch['argv'][0]}: {error.strerror}", "ended_at": time.time()}
    write_atomically(directory / "process.json", {"pgid": process.pid})
    watcher = threading.Thread(target=stop_at_end_of_input, args=(process, launch["grace"], stopped), daemon=True)
    watcher.start()
    code = process.wait()
    # What the trial itself started, such as data loaders, must not hold the machine.
    signal_group(process, signal.SIGKILL)
    return record | {"code": code, "stopped": stopped.is_set(), "ended_at": time.time()}


def main() -> None:
    """Run the attempt of the directory given as argument."""
    directory = Path(sys.argv[1])
    write_atomically(directory / EXIT_FILE, run(directory))


if __name__ == "__main__":
    main()
