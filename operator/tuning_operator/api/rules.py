"""The rules of a study that go across its fields: one function each, beside the same rule in CEL.

A function yields every place where its rule is broken; fields are relative to the value that it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from tuning_operator.api import grid
from tuning_operator.api.parameters import Parameter, at_defaults
from tuning_operator.api.problems import Problem, did_you_mean
from tuning_operator.api.seed_trials import seed_problems
from tuning_operator.api.trial import template_problems
from tuning_operator.api.validation import Cel, Rule, repeats

if TYPE_CHECKING:
    from tuning_operator.api.study import StudySpec

Space = Sequence[Parameter]

_FEWEST_WITH_A_SPREAD: Final = 2


def names_are_unique(space: Space) -> Iterator[Problem]:
    """One parameter per name. The API server refuses duplicates by the key of the list."""
    for position, name in repeats([parameter.name for parameter in space]):
        yield Problem(f"[{position}].name", f"'{name}' is the name of an earlier parameter too; rename or remove one of them")


def conditions_name_an_earlier_choice(space: Space) -> Iterator[Problem]:
    """A parent is categorical and stands before its child: no cycle can be written, and one pass says what is active."""
    names = [parameter.name for parameter in space]
    for position, parameter in enumerate(space):
        earlier = {other.name: other for other in space[:position]}
        for place, condition in enumerate(parameter.when):
            parent = condition.parameter
            if parent in earlier:
                wrong = "" if earlier[parent].categorical else "is not categorical; only a choice can be a condition"
            elif parent == parameter.name:
                wrong = "is this parameter itself; name another one"
            elif parent in names:
                wrong = f"stands after '{parameter.name}'; move it before"
            else:
                wrong = f"is not a parameter; {did_you_mean(parent, names)}"
            if wrong:
                yield Problem(f"[{position}].when[{place}].parameter", f"'{parent}' {wrong}")


def conditions_ask_for_choices(space: Space) -> Iterator[Problem]:
    """A value that the parent cannot have would leave the child inactive without a word."""
    choices = {parameter.name: parameter.categorical.choices for parameter in space if parameter.categorical}
    for position, parameter in enumerate(space):
        for place, condition in enumerate(parameter.when):
            known = choices.get(condition.parameter, condition.values)
            for index, value in enumerate(condition.values):
                if value not in known:
                    field = f"[{position}].when[{place}].values[{index}]"
                    yield Problem(field, f"'{value}' is not a choice of '{condition.parameter}'; {did_you_mean(value, known)}")


SPACE_RULES: Final[tuple[Rule[Space], ...]] = (
    Rule(check=names_are_unique, cel=None),
    Rule(
        check=conditions_name_an_earlier_choice,
        # The order is left to Python: indexOf over the names has no cost bound that the API server accepts.
        cel=Cel(
            rule="self.all(p, p.when.all(c, self.exists(q, q.name == c.parameter && has(q.categorical))))",
            message="when names something that is not a categorical parameter; name a categorical one that stands before",
        ),
    ),
    Rule(
        check=conditions_ask_for_choices,
        cel=Cel(
            rule="self.all(p, p.when.all(c, self.all(q, q.name != c.parameter || !has(q.categorical)"
            " || c.values.all(v, v in q.categorical.choices))))",
            message="when has a value that is not a choice of its parameter; use only choices of that parameter",
        ),
    ),
)


def baseline_has_defaults(spec: StudySpec) -> Iterator[Problem]:
    """The baseline runs the defaults, so every parameter that is active in it has one."""
    _, missing = at_defaults(spec.parameters)
    if spec.baseline.repeats == 0:
        return
    for position, parameter in enumerate(spec.parameters):
        if parameter in missing:
            yield Problem(
                f"parameters[{position}].{parameter.kind}",
                "has no default, with which the baseline runs; set default, or set baseline: {repeats: 0}",
            )


def gpu_hours_need_gpus(spec: StudySpec) -> Iterator[Problem]:
    """A budget that can never be spent is a mistake."""
    if spec.budget.max_gpu_hours is not None and spec.trial.gpus == 0:
        yield Problem(
            "budget.maxGpuHours",
            f"{spec.budget.max_gpu_hours:g} needs trial.gpus, which is 0; set trial.gpus, or use maxDuration",
        )


def gains_per_gpu_hour_need_gpus(spec: StudySpec) -> Iterator[Problem]:
    """Without GPUs no GPU-hour ever passes, and the rule would never be looked at."""
    rule = spec.stopping.marginal_gain
    if rule is not None and rule.by_gpu and spec.trial.gpus == 0:
        yield Problem(
            "stopping.marginalGain.minImprovementPerGpuHour",
            f"{rule.threshold:g} needs trial.gpus, which is 0; set trial.gpus, or use minImprovementPerTrialHour",
        )


def a_plateau_has_a_height(spec: StudySpec) -> Iterator[Problem]:
    """How large an improvement must be is known from the spread of the baseline's runs, or nowhere."""
    rule = spec.stopping.plateau
    if rule is not None and rule.min_delta is None and spec.baseline.repeats < _FEWEST_WITH_A_SPREAD:
        yield Problem(
            "stopping.plateau.minDelta",
            f"is missing, and baseline.repeats {spec.baseline.repeats} gives no standard deviation to use; "
            "set it, or raise repeats to 2 or more",
        )


def grid_has_points(spec: StudySpec) -> Iterator[Problem]:
    """A grid visits finitely many values of each parameter."""
    needy = [parameter for parameter in spec.parameters if grid.needs_points(parameter)]
    if spec.search.sampler == "grid" and spec.search.grid_points is None and needy:
        yield Problem(
            "search.gridPoints",
            f"is missing, and '{needy[0].name}' has no values of its own to visit; "
            "set gridPoints, or give each float a step and each int a linear scale",
        )


def grid_fits_the_budget(spec: StudySpec) -> Iterator[Problem]:
    """A grid is for spaces that are searched as a whole; a part of one would be a corner of the space."""
    if spec.search.sampler != "grid" or any(grid_has_points(spec)):
        return
    size = grid.size(spec.parameters, spec.search.grid_points)
    if size > spec.budget.max_trials:
        yield Problem(
            "search.sampler",
            f"grid has {size} points, more than budget.maxTrials {spec.budget.max_trials}; raise maxTrials, "
            "have fewer points (a larger step, fewer choices, lower gridPoints), or use another sampler",
        )


def seed_trials_are_configurations(spec: StudySpec) -> Iterator[Problem]:
    """What is wished must be possible."""
    yield from (problem.under("search.seedTrials") for problem in seed_problems(spec.parameters, spec.search.seed_trials))


def seed_trials_fit_the_budget(spec: StudySpec) -> Iterator[Problem]:
    """They count in maxTrials, and the last of them would be left out without a word."""
    count, trials = len(spec.search.seed_trials), spec.budget.max_trials
    if count > trials:
        yield Problem(
            "search.seedTrials",
            f"{count} configurations are more than budget.maxTrials {trials}; raise maxTrials, or remove some",
        )


def grid_has_no_seed_trials(spec: StudySpec) -> Iterator[Problem]:
    """A grid tries points of its own, all of them."""
    if spec.search.sampler == "grid" and spec.search.seed_trials:
        yield Problem("search.seedTrials", "does not go with sampler grid, which has points of its own; remove it, or use auto")


def folds_are_there(spec: StudySpec) -> Iterator[Problem]:
    """What prunes by folds alone has nothing to go by without any."""
    if spec.pruning.pruner == "folds" and spec.validation is None:
        yield Problem("pruning.pruner", "folds needs folds to compare; set validation: {folds: 5}, or use another pruner")


def what_is_tested_is_compared(spec: StudySpec) -> Iterator[Problem]:
    """The test is between the winner and the defaults, and how long they train is known from the baseline."""
    if spec.final_evaluation is not None and spec.baseline.repeats == 0:
        yield Problem("finalEvaluation", "compares the winner with the baseline, which is off; set baseline: {repeats: 3}")


def final_template_fits(spec: StudySpec) -> Iterator[Problem]:
    """What is added for the test set leaves a Pod that trains."""
    if spec.final_evaluation is not None:
        for problem in template_problems(spec.final_template):
            yield problem.under("finalEvaluation.template")


SPEC_RULES: Final[tuple[Rule[StudySpec], ...]] = (
    Rule(
        check=baseline_has_defaults,
        # Of a conditional parameter CEL cannot tell whether it is active in the baseline.
        cel=Cel(
            rule="self.baseline.repeats == 0 || self.parameters.all(p, size(p.when) > 0"
            " || (has(p.float) && has(p.float.default)) || (has(p.int) && has(p.int.default))"
            " || (has(p.categorical) && has(p.categorical.default)))",
            message="a parameter has no default, with which the baseline runs; set default, or set baseline: {repeats: 0}",
            field="parameters",
        ),
    ),
    Rule(
        check=gpu_hours_need_gpus,
        cel=Cel(
            rule="!has(self.budget.maxGpuHours) || self.trial.gpus > 0",
            message="maxGpuHours needs trial.gpus, which is 0; set trial.gpus, or use maxDuration",
            field="budget.maxGpuHours",
        ),
    ),
    Rule(
        check=gains_per_gpu_hour_need_gpus,
        cel=Cel(
            rule="!has(self.stopping.marginalGain)"
            " || !has(self.stopping.marginalGain.minImprovementPerGpuHour) || self.trial.gpus > 0",
            message="minImprovementPerGpuHour needs trial.gpus, which is 0; set trial.gpus, or use minImprovementPerTrialHour",
            field="stopping.marginalGain.minImprovementPerGpuHour",
        ),
    ),
    Rule(
        check=a_plateau_has_a_height,
        cel=Cel(
            rule="!has(self.stopping.plateau) || has(self.stopping.plateau.minDelta) || self.baseline.repeats >= 2",
            message="minDelta is missing, and fewer than two baseline runs give no standard deviation to use; "
            "set it, or raise repeats to 2 or more",
            field="stopping.plateau",
        ),
    ),
    Rule(
        check=folds_are_there,
        cel=Cel(
            rule="self.pruning.pruner != 'folds' || has(self.validation)",
            message="folds needs folds to compare; set validation: {folds: 5}, or use another pruner",
            field="pruning.pruner",
        ),
    ),
    Rule(
        check=grid_has_points,
        cel=Cel(
            rule="self.search.sampler != 'grid' || has(self.search.gridPoints)"
            " || !self.parameters.exists(p, (has(p.float) && !has(p.float.step)) || (has(p.int) && p.int.scale == 'log'))",
            message="gridPoints is missing; set it, or give each float a step and each int a linear scale",
            field="search",
        ),
    ),
    Rule(
        check=what_is_tested_is_compared,
        cel=Cel(
            rule="!has(self.finalEvaluation) || self.baseline.repeats > 0",
            message="finalEvaluation compares the winner with the baseline, which is off; set baseline: {repeats: 3}",
            field="finalEvaluation",
        ),
    ),
    Rule(check=grid_fits_the_budget, cel=None),
    Rule(check=seed_trials_are_configurations, cel=None),
    Rule(
        check=seed_trials_fit_the_budget,
        cel=Cel(
            rule="size(self.search.seedTrials) <= self.budget.maxTrials",
            message="seedTrials are more than budget.maxTrials; raise maxTrials, or remove some",
            field="search",
        ),
    ),
    Rule(
        check=grid_has_no_seed_trials,
        cel=Cel(
            rule="self.search.sampler != 'grid' || size(self.search.seedTrials) == 0",
            message="seedTrials does not go with sampler grid, which has points of its own; remove it, or use auto",
            field="search",
        ),
    ),
    Rule(check=final_template_fits, cel=None),
)
