"""`tuning run` as its user runs it: real processes, real kills, stock Optuna as the witness."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import optuna
import pytest

ROOT: Final = Path(__file__).parents[2]
TUNING: Final = Path(sys.executable).with_name("tuning")
PATIENCE: Final = 300  # seconds; only ever waited for when something is broken
TRIALS: Final = 5
REPEATS: Final = 1

# Every start of a trial leaves a line that names its attempt; the result follows at once.
SCRIPT: Final = """
echo $TUNING_RESULT_FILE >> {runs}
printf '{{"score": %s}}' $TUNING_PARAM_X > $TUNING_RESULT_FILE
"""


def manifest(directory: Path, script: str, **spec: Any) -> Path:
    document = {
        "apiVersion": "tuningstudy.dev/v1alpha1",
        "kind": "TuningStudy",
        "metadata": {"name": "small"},
        "spec": {
            "objectives": [{"metric": "score", "direction": "maximize"}],
            "parameters": [{"name": "x", "float": {"min": 0.0, "max": 1.0, "default": 0.5}}],
            "search": {"sampler": "random"},
            "baseline": {"repeats": REPEATS},
            "budget": {"maxTrials": TRIALS, "parallelism": 2},
            "trial": {"template": {"spec": {"containers": [{"name": "t", "command": ["sh", "-c", script]}]}}},
            **spec,
        },
    }
    path = directory / "study.yaml"
    path.write_text(json.dumps(document))
    return path


def tuning(*arguments: str | Path, program: tuple[str | Path, ...] = (TUNING,)) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL
    )


def killed(point: str, count: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return tuning(*arguments, program=(sys.executable, "-m", "tests.support.killed_run", point, str(count)))


def result(output: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((output / "result.json").read_text())
    return document


def stored(output: Path) -> list[optuna.trial.FrozenTrial]:
    url = f"sqlite:///{output / 'study.db'}"
    (name,) = optuna.get_all_study_names(url)
    return optuna.load_study(storage=url, study_name=name).get_trials(deepcopy=False)


def exact(output: Path, runs: Path) -> None:
    """Exactly the budget, every trial told once, no attempt run twice."""
    trials = stored(output)
    assert [trial.number for trial in trials] == list(range(REPEATS + TRIALS))
    assert {trial.state for trial in trials} == {optuna.trial.TrialState.COMPLETE}
    assert Counter(trial.user_attrs["tuning:role"] for trial in trials) == {"baseline": REPEATS, "search": TRIALS}
    for trial in trials:
        assert trial.value == trial.params["x"], "the value is the one of these parameters"
    attempts = Counter(runs.read_text().split())
    assert max(attempts.values()) == 1, "an attempt runs once"
    status = result(output)
    assert status["phase"] == "Succeeded"
    assert status["trials"]["progress"] == f"{TRIALS}/{TRIALS}"


def runs_of_each_trial(runs: Path) -> Counter[int]:
    return Counter(int(number) for number in re.findall(r"/trials/(\d+)/", runs.read_text()))


def test_a_study_runs_to_its_end_and_leaves_everything_in_its_directory(tmp_path: Path) -> None:
    runs, output = tmp_path / "runs", tmp_path / "out"
    study = manifest(tmp_path, SCRIPT.format(runs=runs))
    run = tuning("run", study, "--output", output)
    assert run.returncode == 0, run.stderr
    exact(output, runs)
    assert runs_of_each_trial(runs) == Counter(range(REPEATS + TRIALS)), "one run each"
    best = max(trial.value or 0.0 for trial in stored(output)[REPEATS:])
    assert result(output)["best"]["value"] == pytest.approx(best, rel=1e-6), "as many digits as people read"
    assert "baseline" in run.stdout
    assert "provisional" in run.stdout
    assert (output / "report.html").stat().st_size > 0

    again = tuning("run", study, "--output", output)
    assert again.returncode == 0
    assert len(runs.read_text().split()) == REPEATS + TRIALS, "a finished study runs nothing"

    replayed = tuning("replay", output)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert replayed.stdout == f"Identical: all {TRIALS} asks of the log give the same parameters again.\n"


KILLS: Final = {
    "after the claim, before the start": ("after:claim", 3),
    "after the start, before it is recorded": ("before:mark_started", 2),
    "after the result, before its commit": ("before:conclude", 3),
    "after the commit of a result": ("after:conclude", 3),
    "before the verdict": ("before:decide_end", 1),
    "after the verdict": ("after:decide_end", 1),
}


@pytest.mark.parametrize(("point", "count"), KILLS.values(), ids=KILLS.keys())
def test_counts_are_exact_when_it_is_killed(point: str, count: int, tmp_path: Path) -> None:
    runs, output = tmp_path / "runs", tmp_path / "out"
    study = manifest(tmp_path, SCRIPT.format(runs=runs))
    assert killed(point, count, "run", study, "--output", output).returncode == -signal.SIGKILL
    run = tuning("run", study, "--output", output)
    assert run.returncode == 0, run.stderr
    exact(output, runs)


@pytest.mark.parametrize("point", ["before:end_search", "after:end_search"])
def test_the_winner_runs_again_exactly_so_often_when_it_is_killed_at_the_end_of_the_search(point: str, tmp_path: Path) -> None:
    runs, output = tmp_path / "runs", tmp_path / "out"
    study = manifest(tmp_path, SCRIPT.format(runs=runs), confirmation={"repeats": 2})
    assert killed(point, 1, "run", study, "--output", output).returncode == -signal.SIGKILL
    run = tuning("run", study, "--output", output)
    assert run.returncode == 0, run.stderr
    trials, status = stored(output), result(output)
    roles = [trial.user_attrs["tuning:role"] for trial in trials]
    assert roles == ["baseline"] * REPEATS + ["search"] * TRIALS + ["confirm"] * 2
    assert [trial.params for trial in trials[-2:]] == [trials[status["best"]["trial"]].params] * 2
    assert status["improvement"]["basis"] == "Confirmed"
    assert "Confirmed by 2 fresh runs" in run.stdout


def test_counts_are_exact_when_it_is_killed_again_and_again(tmp_path: Path) -> None:
    runs, output = tmp_path / "runs", tmp_path / "out"
    study = manifest(tmp_path, SCRIPT.format(runs=runs))
    deaths = 0
    for count in range(1, 200):
        point = "before:any" if count % 2 else "after:any"
        run = killed(point, 1 + count % 5, "run", study, "--output", output)
        if run.returncode != -signal.SIGKILL:
            assert run.returncode == 0, run.stderr
            break
        deaths += 1
    assert deaths >= TRIALS
    exact(output, runs)


def test_a_result_that_was_left_before_the_kill_is_not_computed_again(tmp_path: Path) -> None:
    runs, output = tmp_path / "runs", tmp_path / "out"
    study = manifest(tmp_path, SCRIPT.format(runs=runs), budget={"maxTrials": TRIALS, "parallelism": 1})
    assert killed("before:conclude", 4, "run", study, "--output", output).returncode == -signal.SIGKILL
    assert tuning("run", study, "--output", output).returncode == 0
    exact(output, runs)
    assert set(runs_of_each_trial(runs).values()) == {1}


def test_ctrl_c_lets_the_trials_save_and_the_same_command_goes_on_with_them(tmp_path: Path) -> None:
    runs, output, ready = tmp_path / "runs", tmp_path / "out", tmp_path / "ready"
    os.mkfifo(ready)
    # The first attempt waits to be interrupted and saves; the second one finds what was saved.
    script = f"""
    echo $TUNING_RESULT_FILE >> {runs}
    if [ ! -e $TUNING_CHECKPOINT_DIR/saved ]; then
        trap 'echo 0.25 > $TUNING_CHECKPOINT_DIR/saved; exit 75' TERM
        echo ready > {ready}
        while :; do sleep 1000 & wait $!; done
    fi
    printf '{{"score": %s}}' $(cat $TUNING_CHECKPOINT_DIR/saved) > $TUNING_RESULT_FILE
    """
    script = script.replace("$!", "$$!").replace("$(cat", "$$(cat")
    study = manifest(tmp_path, script, baseline={"repeats": 0}, budget={"maxTrials": 1})
    run = subprocess.Popen([TUNING, "run", study, "--output", output], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    ready.read_text()
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 130, out
    assert "Run the same command again" in out
    assert result(output)["phase"] == "Suspended"

    assert tuning("run", study, "--output", output).returncode == 0
    (trial,) = stored(output)
    assert trial.value == 0.25
    status = result(output)
    # People asked for it: it says nothing of the trial, nor of the machine.
    assert (status["phase"], status["trials"]["disrupted"], status["trials"]["failed"]) == ("Succeeded", 0, 0)
    assert runs_of_each_trial(runs) == {0: 2}


def test_a_study_whose_command_does_not_exist_stalls_and_goes_on_once_it_is_mended(tmp_path: Path) -> None:
    output = tmp_path / "out"
    template = {"spec": {"containers": [{"name": "t", "command": ["/no/such/program"]}]}}
    broken = manifest(tmp_path, "", trial={"template": template})
    run = tuning("run", broken, "--output", output)
    assert run.returncode == 3
    assert "/no/such/program: No such file or directory" in run.stdout
    assert not stored(output)[0].state.is_finished(), "nothing is counted"

    mended = manifest(tmp_path, SCRIPT.format(runs=tmp_path / "runs"))
    run = tuning("run", mended, "--output", output)
    assert run.returncode == 0, run.stdout + run.stderr
    exact(output, tmp_path / "runs")


def test_what_is_frozen_is_refused_with_both_values(tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert tuning("run", manifest(tmp_path, SCRIPT.format(runs=tmp_path / "runs")), "--output", output).returncode == 0
    changed = manifest(tmp_path, SCRIPT.format(runs=tmp_path / "runs"), search={"sampler": "random", "seed": 9})
    run = tuning("run", changed, "--output", output)
    assert run.returncode == 2
    assert "spec.search.seed: changed from 0 to 9" in run.stderr


def test_a_wrong_manifest_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    study = manifest(tmp_path, "true", parameters=[{"name": "x", "float": {"min": 2.0, "max": 1.0}}])
    run = tuning("run", study, "--output", tmp_path / "out")
    assert run.returncode == 2
    assert "spec.parameters[0].float" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "out").exists()


def test_one_directory_belongs_to_one_run(tmp_path: Path) -> None:
    output, ready = tmp_path / "out", tmp_path / "ready"
    os.mkfifo(ready)
    study = manifest(tmp_path, f"echo ready > {ready}; while :; do sleep 1000 & wait $$!; done", budget={"maxTrials": 1})
    first = subprocess.Popen([TUNING, "run", study, "--output", output], cwd=ROOT, stdout=subprocess.DEVNULL)
    ready.read_text()
    second = tuning("run", study, "--output", output)
    first.send_signal(signal.SIGINT)
    assert first.wait(PATIENCE) == 130
    assert second.returncode == 2
    assert "is in use by another `tuning run`" in second.stderr


def test_the_trainer_tunes_a_real_network(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "digits.yaml").read_text()
    for long, short in (("maxTrials: 20", "maxTrials: 3"), ("repeats: 3", "repeats: 1"), ("--epochs=15", "--epochs=2")):
        assert long in text
        text = text.replace(long, short)
    study, output = tmp_path / "digits.yaml", tmp_path / "out"
    study.write_text(text)
    run = tuning("run", study, "--output", output)
    assert run.returncode == 0, run.stdout + run.stderr
    trials = stored(output)
    assert len(trials) == 4
    assert all(0.1 < (trial.value or 0.0) <= 1.0 for trial in trials)
    assert all(set(trial.intermediate_values) == {1, 2} for trial in trials), "a report per epoch"


def readme_block(language: str, holding: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if holding in block]
    return str(block)


def test_the_readme_s_own_study_runs_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(readme_block("yaml", "name: mine").replace("maxTrials: 30", "maxTrials: 3"))
    (tmp_path / "train.py").write_text(readme_block("python", "tuning_client"))
    activated = {**os.environ, "PATH": f"{TUNING.parent}:{os.environ['PATH']}"}
    run = subprocess.run(
        ["tuning", "run", "study.yaml"],
        cwd=tmp_path,
        env=activated,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    trials = stored(tmp_path / "studies" / "mine")
    assert len(trials) == 6
    assert all(set(trial.intermediate_values) == set(range(10)) for trial in trials)
    by_hand = subprocess.run(["python", "train.py"], cwd=tmp_path, env=activated, capture_output=True, text=True, check=False)
    assert by_hand.returncode == 0
    assert "val_accuracy" in by_hand.stdout


POSTING: Final = """
import os
import tuning_client

with tuning_client.trial() as trial:
    with open({runs!r}, "a") as runs:
        print(os.environ["TUNING_RESULT_FILE"], file=runs)
    trial.report(0, trial.param("x", 0.5))
    trial.result(score=trial.param("x", 0.5))
"""


@pytest.mark.parametrize("point", ["before:post_result", "after:post_result"])
def test_counts_are_exact_when_it_is_killed_while_a_result_is_posted(point: str, tmp_path: Path) -> None:
    runs, output = tmp_path / "runs", tmp_path / "out"
    (tmp_path / "train.py").write_text(POSTING.format(runs=str(runs)))
    template = {"spec": {"containers": [{"name": "t", "command": [sys.executable, str(tmp_path / "train.py")]}]}}
    study = manifest(tmp_path, "", trial={"template": template})
    assert killed(point, 2, "run", study, "--output", output).returncode == -signal.SIGKILL
    run = tuning("run", study, "--output", output)
    assert run.returncode == 0, run.stderr
    exact(output, runs)


def test_a_second_ctrl_c_does_not_wait_and_the_same_command_still_goes_on(tmp_path: Path) -> None:
    output, ready, go = tmp_path / "out", tmp_path / "ready", tmp_path / "go"
    os.mkfifo(ready)
    os.mkfifo(go)
    script = f"""
    trap '' TERM
    echo ready > {ready}
    read line < {go}
    printf '{{"score": 0.75}}' > $TUNING_RESULT_FILE
    """
    study = manifest(tmp_path, script, baseline={"repeats": 0}, budget={"maxTrials": 1})
    run = subprocess.Popen([TUNING, "run", study, "--output", output], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    ready.read_text()
    run.send_signal(signal.SIGINT)
    assert run.stdout is not None
    while "press Ctrl-C again" not in run.stdout.readline():
        pass
    run.send_signal(signal.SIGINT)
    assert run.wait(PATIENCE) == 130
    run.stdout.close()
    go.write_text("go\n")  # the trial was not waited for: it is alive to read this

    assert tuning("run", study, "--output", output).returncode == 0
    (trial,) = stored(output)
    assert trial.value == 0.75


EDITS: Final = {
    "a larger budget after the end": ({"budget": {"maxTrials": 9}}, 0, "The study has ended already (MaxTrialsReached)"),
    "suspend: true": ({"suspend": True}, 0, "Succeeded"),
}


@pytest.mark.parametrize(("edit", "code", "says"), EDITS.values(), ids=EDITS.keys())
def test_an_edited_manifest_of_a_finished_study_is_answered(edit: dict[str, Any], code: int, says: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert tuning("run", manifest(tmp_path, SCRIPT.format(runs=tmp_path / "runs")), "--output", output).returncode == 0
    run = tuning("run", manifest(tmp_path, SCRIPT.format(runs=tmp_path / "runs"), **edit), "--output", output)
    assert run.returncode == code
    assert says in " ".join(run.stdout.split())


def test_a_suspended_manifest_says_what_to_change(tmp_path: Path) -> None:
    run = tuning("run", manifest(tmp_path, "true", suspend=True), "--output", tmp_path / "out")
    assert run.returncode == 3
    assert "spec.suspend is true; set it to false" in run.stdout


def test_a_directory_holds_one_study(tmp_path: Path) -> None:
    output = tmp_path / "out"
    study = manifest(tmp_path, SCRIPT.format(runs=tmp_path / "runs"))
    assert tuning("run", study, "--output", output).returncode == 0
    study.write_text(study.read_text().replace('"name": "small"', '"name": "other"'))
    run = tuning("run", study, "--output", output)
    assert run.returncode == 2
    assert "holds study default/small, not default/other" in run.stderr


def test_choices_that_look_like_markup_are_words(tmp_path: Path) -> None:
    parameters = [{"name": "x", "categorical": {"choices": ["[/relu]", "[red]"], "default": "[red]"}}]
    study = manifest(tmp_path, """printf '{"score": 1}' > $TUNING_RESULT_FILE""", parameters=parameters)
    run = tuning("run", study, "--output", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    assert "x=[red]" in run.stdout


@pytest.mark.parametrize("place", ["file/below", "/proc/nowhere"])
def test_an_output_that_cannot_be_made_is_refused_in_one_sentence(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = tuning("run", manifest(tmp_path, "true"), "--output", tmp_path / place)
    assert run.returncode == 2
    assert "choose another place" in run.stderr
    assert "Traceback" not in run.stderr
