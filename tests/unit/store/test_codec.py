"""Facts survive their JSON texts."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.support.stored_studies import fresh_trial

from tuning_operator.engine.actions import Tell
from tuning_operator.engine.facts import Ended, Outcome, SamplerChoice, TrialState, Verdict
from tuning_operator.store import codec

# Everything that a container may print, lone surrogates and NUL included.
texts = st.text(st.characters())
times = st.floats(0, 4e9)
metrics = st.dictionaries(texts, st.floats(allow_nan=False), max_size=4)
endings = st.builds(
    Ended, outcome=st.sampled_from(Outcome), at=times, reason=texts, message=texts, metrics=metrics, pruned=st.booleans()
)


@given(ended=endings)
def test_the_end_of_an_attempt_survives(ended: Ended) -> None:
    assert codec.ended_from_json(codec.ended_to_json(ended)) == ended


@given(verdict=st.builds(Verdict, succeeded=st.booleans(), reason=texts, message=texts, at=times))
def test_a_verdict_survives(verdict: Verdict) -> None:
    assert codec.verdict_from_json(codec.verdict_to_json(verdict)) == verdict


@given(choice=st.builds(SamplerChoice, sampler=texts, reason=texts))
def test_a_choice_survives(choice: SamplerChoice) -> None:
    assert codec.choice_from_json(codec.choice_to_json(choice)) == choice


@given(values=metrics, pruned=st.booleans())
def test_a_posted_result_survives(values: dict[str, float], *, pruned: bool) -> None:
    posted = codec.posted_from_json(codec.posted_to_json(values, pruned=pruned))
    assert (posted.metrics, posted.pruned) == (values, pruned)


@given(reason=texts, message=texts, at=times)
def test_the_end_of_a_trial_survives(reason: str, message: str, at: float) -> None:
    told = codec.told_from_json(codec.told_to_json(Tell(state=TrialState.FAIL, value=None, reason=reason, message=message), at))
    assert told == codec.Told(reason=reason, message=message, at=at)


@given(ended=endings)
def test_texts_hold_only_what_every_database_takes(ended: Ended) -> None:
    assert all(" " <= character <= "~" for character in codec.ended_to_json(ended))


def test_equal_values_have_equal_texts_even_when_they_are_no_numbers() -> None:
    left, right = ({"b": 1.0, "a": math.nan}, {"a": -math.nan, "b": 1.0})
    assert codec.posted_to_json(left, pruned=False) == codec.posted_to_json(right, pruned=False)


def test_a_digest_tells_claims_apart_by_everything_that_they_write() -> None:
    trial = fresh_trial(0)
    [attempt] = trial.attempts
    variants = [
        trial,
        replace(trial, seed=1),
        replace(trial, claimed_at=1.0),
        replace(trial, parameters={**trial.parameters, "batch_size": 34}),
        replace(trial, parameters={**trial.parameters, "batch_size": 33.0}),
        replace(trial, sampler_state={"a": "1"}),
        replace(trial, attempts=(replace(attempt, generation=2),)),
        replace(trial, attempts=(replace(attempt, claimed_at=1.0),)),
    ]
    digests = [codec.claim_digest(variant, {"batch_size": "{}"}) for variant in variants]
    digests.append(codec.claim_digest(trial, {"batch_size": '{"other": 1}'}))
    assert len(set(digests)) == len(digests)
    assert codec.claim_digest(trial, {"batch_size": "{}"}) == digests[0]
