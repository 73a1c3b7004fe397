"""How a script ends: exit codes, SIGTERM, and runs by hand. Real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PREAMBLE = "import os, signal, sys, tuning_client\n"
SIGTERM_TO_MYSELF = "os.kill(os.getpid(), signal.SIGTERM)"


def run(script: str, *, preamble: str = PREAMBLE, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TUNING_")}
    return subprocess.run(
        [sys.executable, "-c", preamble + textwrap.dedent(script)],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run_in_study(script: str, result_file: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    study = {"TUNING_TRIAL": "0", "TUNING_METRIC": "accuracy", "TUNING_RESULT_FILE": str(result_file)}
    return run(script, **(study | environment))


def test_a_run_by_hand_uses_defaults_and_prints() -> None:
    ended = run("""
        with tuning_client.trial() as trial:
            rate = trial.param("learning_rate", 0.001)
            trial.report(0, accuracy=0.9, loss=rate)
            trial.report(1, 0.95)
            assert not trial.should_prune() and not trial.should_stop() and not trial.interrupted
            trial.result(accuracy=0.97)
    """)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "step 0: accuracy=0.9 loss=0.001\nstep 1: value=0.95\nresult: accuracy=0.97\n"


def test_a_run_by_hand_needs_no_block() -> None:
    ended = run("trial = tuning_client.trial(); trial.report(0, 0.5); trial.result(0.5)")
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "step 0: value=0.5\nresult: value=0.5\n")


def test_a_run_by_hand_leaves_sigterm_alone() -> None:
    ended = run(f"trial = tuning_client.trial(); {SIGTERM_TO_MYSELF}")
    assert ended.returncode == -15


def test_a_run_by_hand_that_prunes_itself_succeeds() -> None:
    ended = run("with tuning_client.trial() as trial: raise tuning_client.Pruned")
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "pruned\n")


def test_output_that_nobody_reads_does_not_fail_the_training() -> None:
    ended = run("os.close(1); trial = tuning_client.trial(); trial.report(0, 0.5); trial.result(0.5); sys.stdout = None")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_in_a_study_nothing_is_printed(tmp_path: Path) -> None:
    ended = run_in_study("with tuning_client.trial() as trial: trial.report(0, 0.5); trial.result(0.5)", tmp_path / "r")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (tmp_path / "r").read_text() == '{"accuracy": 0.5}'


@pytest.mark.parametrize(
    ("script", "code", "said", "result"),
    [
        pytest.param("trial.report(0, 0.5); raise tuning_client.Pruned", 0, "", '{"pruned": true, "accuracy": 0.5}', id="pruned"),
        pytest.param(
            "trial.report(0, 0.5)",
            0,
            "the script ended without a result; call trial.result(accuracy=...) with its final value before leaving",
            None,
            id="a script that forgets its result is told how to give it",
        ),
        pytest.param(
            "raise tuning_client.ConfigurationError('there is no data set at /data; mount it')",
            78,
            "tuning_client: there is no data set at /data; mount it\n",
            None,
            id="a configuration error",
        ),
        pytest.param("trial.param('x')", 78, "parameter x is not in TUNING_PARAMETERS", None, id="a missing parameter"),
        pytest.param("trial.report(-1, 0.5)", 78, "got the step -1; it must be a whole number", None, id="a negative step"),
        pytest.param("trial.report(0.5, 0.5)", 78, "got the step 0.5; it must be a whole number", None, id="half a step"),
        pytest.param("trial.report(2**31, 0.5)", 78, "from 0 to 2147483647", None, id="a step beyond 32 bits"),
        pytest.param("raise RuntimeError('a bug')", 1, "RuntimeError: a bug", None, id="a bug of the script is a failure"),
        pytest.param("sys.exit(3)", 3, "", None, id="an exit code of the script's own"),
        pytest.param(
            f"{SIGTERM_TO_MYSELF}; assert trial.interrupted and trial.should_stop(); trial.exit_interrupted()",
            75,
            "",
            None,
            id="interrupted, and left as told",
        ),
        pytest.param(f"{SIGTERM_TO_MYSELF}", 75, "", None, id="interrupted, and left without a result"),
        pytest.param(
            f"{SIGTERM_TO_MYSELF}; raise tuning_client.Pruned", 75, "", None, id="an interruption is never counted as pruned"
        ),
        pytest.param(
            f"{SIGTERM_TO_MYSELF}; assert not trial.should_prune(); trial.result(0.5)",
            0,
            "",
            '{"accuracy": 0.5}',
            id="interrupted after its last step, a trial may still give its result",
        ),
    ],
)
def test_leaving_the_block(*, tmp_path: Path, script: str, code: int, said: str, result: str | None) -> None:
    file = tmp_path / "result.json"
    ended = run_in_study(f"with tuning_client.trial() as trial: {script}", file)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert bool(said) == bool(ended.stderr)
    assert (file.read_text() if file.exists() else None) == result


def test_an_environment_that_breaks_the_contract_is_a_configuration_error(tmp_path: Path) -> None:
    ended = run_in_study("tuning_client.trial()", tmp_path / "r", TUNING_PARAMETERS="{")
    assert ended.returncode == 78
    assert ended.stderr.startswith("tuning_client: TUNING_PARAMETERS is '{'; it must be")
    assert "Traceback" not in ended.stderr


def test_the_handler_that_stood_before_is_called_too_and_put_back(tmp_path: Path) -> None:
    ended = run_in_study(
        f"""
        def before(number, frame): print("before", number)
        signal.signal(signal.SIGTERM, before)
        with tuning_client.trial() as trial:
            {SIGTERM_TO_MYSELF}
            print("interrupted", trial.interrupted)
            trial.result(0.5)
        assert signal.getsignal(signal.SIGTERM) is before
        """,
        tmp_path / "r",
    )
    assert (ended.stdout, ended.returncode) == ("before 15\ninterrupted True\n", 0), ended.stderr


def test_a_handler_installed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    ended = run_in_study(
        """
        def later(number, frame): pass
        with tuning_client.trial() as trial:
            signal.signal(signal.SIGTERM, later)
            trial.result(0.5)
        assert signal.getsignal(signal.SIGTERM) is later
        """,
        tmp_path / "r",
    )
    assert ended.returncode == 0, ended.stderr


def test_a_forked_worker_still_ends_by_sigterm(tmp_path: Path) -> None:
    ended = run_in_study(
        """
        with tuning_client.trial() as trial:
            ready, tell = os.pipe()
            worker = os.fork()
            if worker == 0:
                os.write(tell, b"!")
                while True:
                    signal.pause()
            os.read(ready, 1)
            os.kill(worker, signal.SIGTERM)
            _, status = os.waitpid(worker, 0)
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM
            assert not trial.interrupted
            trial.result(0.5)
        """,
        tmp_path / "r",
    )
    assert ended.returncode == 0, ended.stderr


def test_outside_the_main_thread_sigterm_is_left_alone(tmp_path: Path) -> None:
    ended = run_in_study(
        """
        import threading
        thread = threading.Thread(target=tuning_client.trial)
        thread.start()
        thread.join()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        """,
        tmp_path / "r",
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_study_without_a_gateway_answer_does_not_fail_the_training(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    ended = run_in_study(
        """
        with tuning_client.trial() as trial:
            for step in range(100):
                trial.report(step, 0.5)
                assert not trial.should_stop()
            trial.result(0.5)
        """,
        tmp_path / "r",
        TUNING_ENDPOINT="http://127.0.0.1:1",
        TUNING_TOKEN_FILE=str(tmp_path / "token"),
    )
    assert ended.returncode == 0
    assert (tmp_path / "r").read_text() == '{"accuracy": 0.5}'
    assert ended.stderr.count("\n") == 1
    assert "cannot be reached" in ended.stderr


def test_the_client_needs_nothing_but_python() -> None:
    script = """
        import sys
        before = set(sys.modules)
        import tuning_client
        print({name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)
    """
    ended = run(script, preamble="")
    assert (ended.returncode, ended.stdout) == (0, "{'tuning_client'}\n"), ended.stderr
