"""The report of real Optuna studies, read back as a browser reads it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from optuna.trial import TrialState
from tests.support.studies import LEARNING_RATE, study_spec
from tests.unit.report import samples
from tests.unit.report.pages import Page, read

from tuning_operator.api.status import ConfirmationStatus, Improvement, PruningStatus, StoppingStatus, StudyDiagnosis, Usage
from tuning_operator.api.workflow import Confirmation
from tuning_operator.report.page import render
from tuning_operator.report.record import StudyRecord

NONE = "\N{EN DASH}"
DEPTH = {"name": "depth", "int": {"min": 1, "max": 8, "default": 2}}


@pytest.fixture(scope="module")
def study() -> StudyRecord:
    return samples.realistic()


@pytest.fixture(scope="module")
def page(study: StudyRecord) -> Page:
    return read(render(study))


def report_of(
    scores: Sequence[float | None],
    *,
    baseline: Sequence[float] = (),
    rate: float | None = None,
    depth: int | None = None,
    **spec_fields: Any,
) -> Page:
    """The report of search trials with these scores, after runs of the defaults with those.

    Every trial has its own learning rate and depth unless one of them is stated.
    """
    spec = study_spec(**{"parameters": [LEARNING_RATE, DEPTH], "baseline": {"repeats": len(baseline)}} | spec_fields)
    values = {"learning_rate": 1e-3, "depth": 2}
    runs = [samples.trial(values, score, spec=spec, role="baseline", number=i) for i, score in enumerate(baseline)]
    trials = samples.uniform_trials(spec, scores, lambda i: {"learning_rate": rate or 1e-5 * 1.5**i, "depth": depth or 1 + i % 8})
    return read(render(samples.record([*runs, *trials], spec=spec)))


def test_a_confirmed_gain_is_told_by_its_fresh_runs() -> None:
    record = samples.realistic()
    gain = Improvement(
        absolute=0.02, low=-0.01, high=0.05, significant=False, basis="Confirmed", message="0.02 better, which may be luck"
    )
    fresh = ConfirmationStatus(
        trial=7, value=0.975, stddev=0.002, repeats=3, optimism=0.004, basis="the best of 20 single values"
    )
    manifest = record.manifest.model_copy(
        update={"spec": record.spec.model_copy(update={"confirmation": Confirmation(repeats=3)})}
    )
    status = record.status.model_copy(update={"improvement": gain, "confirmation": fresh})
    page = read(render(replace(record, manifest=manifest, status=status)))
    header = page.one("header").text
    assert page.texts("h1") == ["val_accuracy 0.9750: 0.0200 above the defaults, which may be luck"]
    assert "confirmed, 95 % interval -0.01 to 0.05" in header
    assert "Trial 7 was trained 3 more times with other seeds and reached 0.9750 \N{PLUS-MINUS SIGN} 0.002: 0.02 better" in header
    assert "flattered it: it was 0.004 better than that." in header
    assert "provisional" not in header
    assert "3 fresh runs of the winner, the best of 20 single values" in page.one("section", id="method").text


class TestRealisticStudy:
    def test_sections_stand_in_the_order_a_reader_asks(self, page: Page) -> None:
        assert page.texts("h2") == [
            "The best parameters",
            "How the search went",
            "Which parameters mattered",
            "What good trials have in common",
            "Parameter by parameter",
            "How each trial learned",
            "All trials",
            "How it was searched",
        ]

    def test_headline_names_metric_best_and_gain(self, study: StudyRecord, page: Page) -> None:
        best, gain = study.status.best, study.status.improvement
        assert best is not None
        assert gain is not None
        assert page.texts("h1") == [f"val_accuracy {best.value:.4f}: {gain.absolute:.4f} above the defaults"]

    def test_what_provisional_means_is_said_beside_the_gain(self, page: Page) -> None:
        assert "The gain is provisional: the best of many single runs is partly luck" in page.one("header").text

    def test_how_the_study_ended_is_said_with_its_reason(self, page: Page) -> None:
        assert "State: Succeeded (MaxTrialsReached) since 2026-11-23 11:42 UTC" in page.one("header").text

    def test_best_parameters_stand_beside_the_defaults(self, study: StudyRecord, page: Page) -> None:
        rows = {row.text: row for row in page.all("tr") if row.text.startswith("batch_size")}
        best = study.status.best
        assert best is not None
        assert list(rows) == [f"batch_size64{best.parameters['batch_size']}16 to 256, log"]

    def test_a_parameter_that_its_parent_switches_off_is_inactive_not_at_its_default(self, page: Page) -> None:
        [row] = [row.text for row in page.all("tr") if row.text.startswith("momentum")]
        assert row == "momentuminactiveinactive0 to 0.99; only when optimizer is sgd"

    def test_best_parameters_can_be_copied_exactly(self, study: StudyRecord, page: Page) -> None:
        best = study.status.best
        assert best is not None
        assert best.parameters in [json.loads(e.text) for e in page.all("pre") if e.text.startswith("{")]

    def test_baselines_mean_is_a_line_in_the_history(self, study: StudyRecord, page: Page) -> None:
        baseline = study.status.baseline
        assert baseline is not None
        traces = {trace["name"]: trace for trace in page.figures()["plot-history-0"]["data"]}
        assert traces["Baseline"]["y"] == [baseline.value, baseline.value]
        assert traces["Baseline"]["mode"] == "lines"

    def test_runs_of_the_defaults_are_not_taken_for_search_trials(self, study: StudyRecord, page: Page) -> None:
        traces = {trace["name"]: trace for trace in page.figures()["plot-history-0"]["data"]}
        assert traces["Run of the defaults"]["x"] == [0, 1, 2]
        assert traces["Trial"]["x"] == [row.number for row in study.scored]

    def test_every_varying_parameter_has_an_importance_and_a_slice(self, page: Page) -> None:
        names = sorted(parameter["name"] for parameter in samples.SIX_PARAMETERS)
        assert sorted(page.figures()["plot-importance-0"]["data"][0]["y"]) == names
        assert sorted(page.texts("figcaption")) == names

    def test_a_conditional_parameter_is_inactive_in_parallel_coordinates_where_it_was_not_used(self, page: Page) -> None:
        notes = page.figures()["plot-parallel-0"]["layout"]["annotations"]
        axis = 1 + sorted(parameter["name"] for parameter in samples.SIX_PARAMETERS).index("momentum")
        assert [note["x"] for note in notes if note["text"] == "inactive"] == [axis]

    def test_the_best_learning_curve_lies_on_top(self, study: StudyRecord, page: Page) -> None:
        best = study.status.best
        assert best is not None
        assert page.figures()["plot-intermediate-0"]["data"][-1]["name"] == f"Best: trial {best.trial}"

    def test_every_trial_has_a_row_with_its_reason(self, study: StudyRecord, page: Page) -> None:
        table = page.one("section", id="trials").text
        assert [f"{row.number}{row.role}" in table.replace(" (best)", "") for row in study.trials] == [True] * 28
        assert table.count("fail: OOMKilled") == 2
        assert table.count(samples.LAST_WORDS) == 2

    def test_how_it_was_searched_is_enough_to_do_it_again(self, page: Page) -> None:
        text = page.one("section", id="method").text
        for part in ("tpe: mixed and conditional space", "Seed7", "25 search trials, at most 2 at once", "1.9 trial-hours"):
            assert part in text

    def test_how_it_was_pruned_is_said_and_what_that_saved(self, study: StudyRecord) -> None:
        usage = Usage(trial_hours=10, gpu_hours=40, wasted_gpu_hours=2, saved_gpu_hours=25)
        pruning = PruningStatus(pruner="asha", reason="60 trials")
        status = study.status.model_copy(update={"usage": usage, "pruning": pruning})
        page = read(render(replace(study, status=status)))
        assert "asha: 60 trials" in page.one("section", id="method").text
        assert "about 25 GPU-hours saved by pruning" in page.one("section", id="method").text
        assert any("of it wasted; pruning saved about " in text for text in page.texts("small"))

    def test_how_near_the_study_is_to_an_early_end_is_said(self, study: StudyRecord) -> None:
        stopping = StoppingStatus(trials_since_improvement=7, message="plateau: 7 trials without an improvement")
        page = read(render(replace(study, status=study.status.model_copy(update={"stopping": stopping}))))
        assert "plateau: 7 trials without an improvement" in page.one("section", id="method").text

    def test_every_plot_speaks_to_those_who_cannot_see_it(self, page: Page) -> None:
        described = {e.attributes["id"]: e.attributes["aria-label"] for e in page.all("div", role="img")}
        assert described.keys() == page.figures().keys()
        assert all(described.values())

    def test_every_table_has_headers_for_columns_and_rows(self, page: Page) -> None:
        assert len(page.all("caption")) == len(page.all("table")) == 2
        assert len(page.all("th", scope="row")) == len(page.all("tr")) - 2

    def test_the_browser_may_load_nothing_and_run_only_the_scripts_in_the_file(self, page: Page) -> None:
        policy = page.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
        assert policy is not None
        directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in page.scripts()]
        assert directives["default-src"] == "'none'"
        assert directives["script-src"] == " ".join(f"'sha256-{digest}'" for digest in digests)
        assert not [e for e in page.elements if {"src", "href"} & e.attributes.keys()]

    def test_plotly_stands_in_the_file_once(self, page: Page) -> None:
        assert [len(text) > 1_000_000 for text in page.scripts()] == [True, False]


class TestTooLittleToDraw:
    """A sentence stands where a plot would mislead or fail."""

    def test_no_trial_at_all(self) -> None:
        page = report_of([])
        assert page.figures() == {}
        assert page.texts("h1") == ["No trial gave a value"]
        assert "No trial has been started." in page.one("section", id="trials").text

    def test_all_trials_failed(self) -> None:
        page = report_of([None, None, None])
        assert page.figures() == {}
        assert page.lead("history") == "No search trial ended with a value, so there is nothing to draw."
        assert "3 trials gave no value: ExitCode (3)." in page.one("header").text

    def test_only_the_baseline_gave_values(self) -> None:
        page = report_of([None, None], baseline=[0.8, 0.82])
        assert page.figures() == {}
        assert "The defaults reach 0.8100 ± 0.014" in page.one("header").text

    def test_one_completed_trial(self) -> None:
        page = report_of([0.9, None])
        assert page.figures() == {}
        assert page_sections(page) == ["best", "history", "trials", "method"]
        assert page.lead("history") == "Only one search trial ended with a value; a plot needs at least two."

    def test_a_constant_parameter_is_named_not_drawn(self) -> None:
        page = report_of([0.7, 0.8, 0.9], depth=3)
        assert page.figures().keys() == {"plot-history-0", "plot-importance-0", "plot-parallel-0", "plot-slices-0"}
        assert page.lead("slices").endswith("Not shown, since only one value was tried: depth.")
        assert page.figures()["plot-importance-0"]["data"][0]["y"] == ["learning_rate"]

    def test_no_parameter_varied(self) -> None:
        page = report_of([0.7, 0.8, 0.9], depth=3, rate=1e-3)
        assert page.figures().keys() == {"plot-history-0"}
        assert page.lead("importance") == "No parameter varied among the trials with a value, so none can have mattered."

    def test_all_trials_reached_the_same(self) -> None:
        page = report_of([0.9, 0.9, 0.9])
        assert page.lead("importance") == "All trials reached the same val_accuracy, so no parameter made a difference."
        assert "plot-history-0" in page.figures()

    def test_no_baseline(self) -> None:
        page = report_of([0.7, 0.8])
        assert page.texts("h1") == ["Best val_accuracy 0.8000, with no baseline to compare"]
        assert page.lead("history").endswith("There is no baseline to compare with.")
        assert "Baseline" not in {trace["name"] for trace in page.figures()["plot-history-0"]["data"]}

    def test_no_gain(self) -> None:
        page = report_of([0.7, 0.8], baseline=[0.9])
        assert page.texts("h1") == ["No better than the defaults: val_accuracy 0.8000"]
        assert "No trial beat the defaults." in page.one("header").text

    def test_folds_have_a_curve_each(self) -> None:
        data, step = curves([0.5, 0.6], [0.4, 0.7])
        assert [(trace["name"], trace["x"], trace["y"]) for trace in data] == [
            ("Trial 1", [0, 1], [0.7, 0.8]),
            ("Best: trial 0, fold 0", [0, 1], [0.5, 0.6]),
            ("Best: trial 0, fold 1", [0, 1], [0.4, 0.7]),
        ]
        assert step == "Step"

    def test_folds_of_a_single_step_are_one_curve(self) -> None:
        data, step = curves([0.5], [0.4], [0.6], other=[0.7])
        assert [(trace["name"], trace["x"]) for trace in data] == [("Trial 1", [0]), ("Best: trial 0", [0, 1, 2])]
        assert step == "Fold"

    def test_no_intermediate_values_no_section(self) -> None:
        assert page_sections(report_of([0.7, 0.8])) == ["best", "history", "importance", "parallel", "slices", "trials", "method"]

    def test_few_trials_make_importance_a_hint(self) -> None:
        assert report_of([0.7, 0.8, 0.9]).lead("importance").endswith("From 3 trials this is a hint, not a finding.")


def curves(*folds: list[float], other: Sequence[float] = (0.7, 0.8)) -> tuple[list[dict[str, Any]], str]:
    """What is drawn of a study whose best trial, number 0, reported these folds, and what it is drawn along."""
    spec = study_spec()
    best = samples.trial({"learning_rate": 1e-3}, 0.9, spec=spec)
    for fold, values in enumerate(folds):
        best.intermediate_values |= {fold * 1_000_000 + step: value for step, value in enumerate(values)}
    second = samples.trial({"learning_rate": 1e-2}, 0.8, spec=spec, number=1, curve=other)
    figure = read(render(samples.record([best, second], spec=spec))).figures()["plot-intermediate-0"]
    return figure["data"], figure["layout"]["xaxis"]["title"]["text"]


def test_what_was_wrong_with_trainings_is_told_and_stands_in_the_table() -> None:
    spec = study_spec()
    best = samples.trial({"learning_rate": 1e-3}, 0.9, spec=spec)
    best.user_attrs["tuning:diagnoses"] = [{"name": "overfitting", "advice": "stop <b>earlier</b>", "figure": 1.68}]
    record = samples.record([best], spec=spec)
    assert record.status.best is not None
    found = StudyDiagnosis(name="overfitting", trials=1, example=0, figure=1.68, advice="stop <b>earlier</b>")
    status = record.status.model_copy(
        update={"diagnoses": (found,), "best": record.status.best.model_copy(update={"diagnoses": ("overfitting",)})}
    )
    page = read(render(replace(record, status=status)))
    assert (
        "What trials say was wrong with their training: overfitting (1 trial, such as 0). The table of trials has their advice. "
        "The best trial itself says overfitting."
    ) in page.one("header").text
    assert "complete overfittingoverfitting: stop <b>earlier</b>" in page.one("section", id="trials").text


def page_sections(page: Page) -> list[str | None]:
    return [e.attributes["id"] for e in page.all("section")]


def test_when_less_is_better_the_best_lies_below_the_defaults() -> None:
    page = report_of([0.5, 0.3, 0.4], baseline=[0.6], objectives=[{"metric": "loss", "direction": "minimize"}])
    assert page.texts("h1") == ["loss 0.3000: 0.3000 below the defaults"]
    top = page.figures()["plot-parallel-0"]["data"][-1]
    assert top["customdata"][0] == ["loss", "0.3"]


def test_a_value_at_the_end_of_its_range_is_pointed_out() -> None:
    [row] = [row.text for row in report_of([0.7, 0.9], depth=8).all("tr") if row.text.startswith("depth")]
    assert row == "depth281 to 8; the best is at its high end"


def test_a_running_trial_is_told_as_running() -> None:
    spec = study_spec()
    running = samples.trial({"learning_rate": 1e-3}, spec=spec, state=TrialState.RUNNING, reason="")
    page = read(render(samples.record([running], spec=spec)))
    assert page.texts("td")[-5:] == ["search", "running", NONE, NONE, "0.001"]


def test_many_trials_are_thinned_where_each_is_drawn_and_the_best_stays() -> None:
    scores = [i / 400 for i in range(400)]
    page = report_of(scores, rate=1e-3)
    assert len(page.figures()["plot-parallel-0"]["data"]) == 300
    assert page.lead("parallel").endswith("Of 400 trials 300 are shown, evenly from best to worst.")
    assert len(page.figures()["plot-slices-0"]["data"][0]["x"]) == 400
    assert page.figures()["plot-parallel-0"]["data"][-1]["customdata"][0][1] == f"{scores[-1]:.3g}"


@pytest.fixture(scope="module")
def hostile() -> Page:
    return read(render(samples.hostile()))


class TestHostileText:
    """What users write is text, wherever it ends up."""

    def test_it_makes_no_element(self, hostile: Page) -> None:
        assert hostile.all("img") == []
        assert len(hostile.all("script")) == 3

    def test_it_is_shown_as_it_was_written(self, hostile: Page) -> None:
        assert hostile.one("section", id="best").text.count(samples.BREAKOUT) >= 2
        assert samples.BREAKOUT in [e.text for e in hostile.all("pre")]
        assert samples.BREAKOUT in hostile.texts("th")

    def test_plots_get_it_escaped_since_plotly_reads_labels_as_html(self, hostile: Page) -> None:
        [slices] = [f for key, f in hostile.figures().items() if "categoryarray" in f["layout"]["xaxis"]]
        assert all("<" not in label for label in slices["layout"]["xaxis"]["categoryarray"])
        assert any("&lt;/script&gt;" in label for label in slices["layout"]["xaxis"]["categoryarray"])


def test_optunas_warnings_and_log_lines_stay_out(capfd: pytest.CaptureFixture[str]) -> None:
    study = samples.realistic()
    capfd.readouterr()
    render(study)
    assert capfd.readouterr() == ("", "")
