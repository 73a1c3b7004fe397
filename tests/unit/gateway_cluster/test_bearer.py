"""What a token says of itself."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway_cluster.scripted import AUDIENCE, NAMESPACE, json_web_token, pod_token

from tuning_operator.gateway.bearer import Claims, PodRef, claims, digest, well_formed


def test_the_token_of_a_pod_names_the_pod_and_its_end() -> None:
    assert claims(pod_token("one", "1-1", expires=1_000)) == Claims(
        expires=1_000, pod=PodRef(NAMESPACE, "one", "1-1"), audiences=frozenset((AUDIENCE,))
    )


@pytest.mark.parametrize(
    ("said", "audiences"),
    [
        pytest.param({"aud": "gateway"}, {"gateway"}, id="one, as RFC 7519 allows"),
        pytest.param({"aud": ["gateway", "cluster"]}, {"gateway", "cluster"}, id="several"),
        pytest.param({"aud": ["gateway", 1, None]}, {"gateway"}, id="some that are no words"),
        pytest.param({"aud": {"gateway": True}}, set(), id="none"),
    ],
)
def test_a_token_names_its_audiences(said: object, audiences: set[str]) -> None:
    assert claims(json_web_token(said)).audiences == audiences


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({}, id="nothing"),
        pytest.param([], id="a list"),
        pytest.param({"exp": "soon"}, id="an end in words"),
        pytest.param({"exp": True}, id="an end that is a truth value"),
        pytest.param({"exp": math.nan}, id="an end that is no number"),
        pytest.param({"exp": math.inf}, id="an infinite end"),
        pytest.param({"kubernetes.io": {"namespace": "team"}}, id="an account without a Pod"),
        pytest.param({"kubernetes.io": {"namespace": "team", "pod": {"name": "one"}}}, id="a Pod without uid"),
        pytest.param({"kubernetes.io": {"namespace": "team", "pod": {"name": "one", "uid": 1}}}, id="a numeric uid"),
    ],
)
def test_what_is_no_claim_of_ours_says_nothing(said: object) -> None:
    assert claims(json_web_token(said)) == Claims()


def test_an_end_beyond_all_numbers_is_a_late_one() -> None:
    assert math.isfinite(claims(json_web_token({"exp": 10**400})).expires)


@pytest.mark.parametrize("token", ["", "opaque", "a.b", "a.b.c", "a.b.c.d", "..", f"a.{'W' * 100_000}.c"])
def test_a_token_of_another_kind_says_nothing(token: str) -> None:
    assert claims(token) == Claims()


@given(st.text())
def test_no_text_is_too_odd_to_be_read(token: str) -> None:
    assert claims(token) == Claims()
    assert isinstance(well_formed(token), bool)


@pytest.mark.parametrize("token", ["", " ", "two words", "line\n", "\udcff", "ü", "=", "a=b"])
def test_what_cannot_be_a_token_is_recognised(token: str) -> None:
    assert not well_formed(token)


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a-b_c~d+e/f==", pod_token("one", "1-1")])
def test_what_may_be_a_token_is_recognised(token: str) -> None:
    assert well_formed(token)


def test_parts_that_are_split_elsewhere_have_another_digest() -> None:
    assert len({digest("a", "bc"), digest("ab", "c"), digest("abc")}) == 3
