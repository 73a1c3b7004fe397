"""Shares of the limits: never more than there is, nothing left lying while somebody waits, and everybody has a turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning_operator.controller.shares import Limits, NoLimit, Shares
from tuning_operator.runtime.kubernetes.views import StudyKey

A, B, C = (StudyKey("research", name) for name in "abc")
ELSEWHERE: Final = StudyKey("teaching", "z")


@dataclass
class World:
    """Studies that look whenever they are woken, and take what they may."""

    limits: Limits
    parallelism: dict[StudyKey, int]
    trials: dict[StudyKey, int]  # that each has yet to begin
    shares: Shares = field(init=False)
    held: dict[StudyKey, int] = field(default_factory=dict)
    woken: deque[StudyKey] = field(default_factory=deque)
    looks: int = 0

    def __post_init__(self) -> None:
        self.shares = Shares(self.limits, wake=self.wake)

    def wake(self, key: StudyKey) -> None:
        if key not in self.woken:
            self.woken.append(key)

    def look(self, key: StudyKey, *, ended: int = 0) -> None:
        """One round of a study: what has ended is concluded, and what may begin begins."""
        self.looks += 1
        left = self.held.get(key, 0) - ended
        wanted = max(left, min(self.parallelism[key], left + self.trials[key]))
        most = self.shares.most(key, wanted)
        holds = wanted if most is None else max(left, min(wanted, most))
        self.trials[key] -= holds - left
        self.held[key] = holds
        self.shares.hold(key, holds)
        self.check()

    def check(self) -> None:
        used = sum(self.held.values())
        assert self.limits.total is None or used <= self.limits.total
        for namespace in {key.namespace for key in self.held}:
            held = sum(count for key, count in self.held.items() if key.namespace == namespace)
            assert self.limits.per_namespace is None or held <= self.limits.per_namespace

    def settle(self) -> None:
        """Let everybody look who was woken, until all is quiet."""
        for _ in range(200):
            if not self.woken:
                return
            self.look(self.woken.popleft())
        pytest.fail("studies wake each other for ever")

    def end_trial(self, key: StudyKey, *, seen_apart: bool = False) -> None:
        """A trial ends: concluded in the round that begins the next one, or in one before it."""
        if seen_apart:
            self.held[key] -= 1
            self.shares.hold(key, self.held[key])
            self.look(key)
        else:
            self.look(key, ended=1)
        self.settle()

    def full(self, key: StudyKey) -> bool:
        """Whether a limit of the study has nothing left."""
        neighbours = sum(count for other, count in self.held.items() if other.namespace == key.namespace)
        return self.limits.total == sum(self.held.values()) or self.limits.per_namespace == neighbours

    def wants_more(self, key: StudyKey) -> bool:
        return self.trials[key] > 0 and self.held.get(key, 0) < self.parallelism[key]


def world(limits: Limits, *keys: StudyKey, parallelism: int = 10, trials: int = 1000) -> World:
    return World(limits, dict.fromkeys(keys, parallelism), dict.fromkeys(keys, trials))


# What one study may hold


@pytest.mark.parametrize(
    ("limits", "held", "most"),
    [
        pytest.param(Limits(), {}, None, id="without limits there is none"),
        pytest.param(Limits(total=4), {}, 4, id="a study that is alone may have all"),
        pytest.param(Limits(total=4), {A: 3}, 4, id="what it holds itself counts for it"),
        pytest.param(Limits(total=4), {B: 3}, 1, id="what others hold is taken"),
        pytest.param(Limits(total=4), {B: 4}, 0, id="there may be nothing left"),
        pytest.param(Limits(total=2), {B: 4}, 0, id="a limit that was lowered takes nothing away and gives nothing"),
        pytest.param(Limits(per_namespace=4), {B: 3, ELSEWHERE: 4}, 1, id="other namespaces have limits of their own"),
        pytest.param(Limits(total=6, per_namespace=4), {ELSEWHERE: 4}, 2, id="the tighter of both limits holds"),
        pytest.param(Limits(total=9, per_namespace=4), {ELSEWHERE: 4}, 4, id="whichever it is"),
    ],
)
def test_a_study_may_hold_what_others_leave(limits: Limits, held: dict[StudyKey, int], most: int | None) -> None:
    shares = Shares(limits, wake=lambda _: None)
    for key, count in held.items():
        shares.hold(key, count)
    assert shares.most(A, 10) == most
    assert shares.of(A).most(10) == most


def test_a_study_that_is_alone_has_no_limit() -> None:
    share = NoLimit()
    share.hold(1000)
    assert share.most(1000) is None


def test_while_one_waits_a_large_study_does_not_grow_beyond_an_equal_part() -> None:
    one = world(Limits(total=10), A, B)
    one.look(A)
    one.look(B)
    assert one.held == {A: 10, B: 0}
    shrinking = []
    for _ in range(8):
        one.end_trial(A)
        shrinking.append((one.held[A], one.held[B]))
    assert shrinking == [(9, 1), (8, 2), (7, 3), (6, 4), (5, 5), (5, 5), (5, 5), (5, 5)]


def test_what_a_content_study_does_not_want_is_shared_by_the_others() -> None:
    one = world(Limits(total=10), A, B, C)
    one.parallelism[A] = 1
    for key in (A, B):
        one.look(key)
    one.look(C)
    for _ in range(9):
        one.end_trial(B)
    assert (one.held[A], sorted((one.held[B], one.held[C]))) == (1, [4, 5])


def test_a_large_study_grows_again_once_nobody_waits() -> None:
    one = world(Limits(total=10), A, B)
    one.look(A)
    one.trials[B] = 3
    one.look(B)
    while one.trials[B] or one.held[B]:
        one.end_trial(B if one.held[B] else A)
    assert one.held == {A: 10, B: 0}


def test_a_study_that_is_forgotten_leaves_its_places_and_its_wishes() -> None:
    one = world(Limits(total=4), A, B, C)
    for key in (A, B, C):
        one.look(key)
    del one.held[A], one.parallelism[A]
    one.shares.forget(A)
    one.settle()
    assert one.held == {B: 2, C: 2}
    one.shares.forget(C)
    del one.held[C], one.parallelism[C]
    one.settle()
    assert one.held == {B: 4}


# Turns


@pytest.mark.parametrize("seen_apart", [False, True], ids=["replaced in the same round", "replaced in the next round"])
def test_whoever_waits_without_a_place_gets_the_next_one(*, seen_apart: bool) -> None:
    keys = [StudyKey("research", str(number)) for number in range(10)]
    one = world(Limits(total=2), *keys)
    for key in keys:
        one.look(key)
    served = [next(key for key in keys if one.held[key])]
    for _ in range(30):
        running = next(key for key in served if one.held[key])
        before = dict(one.held)
        one.end_trial(running, seen_apart=seen_apart)
        served.remove(running)
        served += [key for key in keys if one.held[key] > before[key] and key not in served]
        served += [running] if one.held[running] else []
    begun = [1000 - one.trials[key] for key in keys]
    assert min(begun) >= 2
    assert sum(begun) == 32


def test_a_study_that_is_held_up_by_its_namespace_keeps_nothing_from_others() -> None:
    one = world(Limits(total=10, per_namespace=2), A, B, C, ELSEWHERE)
    for key in (A, B, C, ELSEWHERE):
        one.look(key)
    assert one.held == {A: 2, B: 0, C: 0, ELSEWHERE: 2}


# Who is woken


def test_a_place_that_is_given_back_unused_wakes_nobody_who_knew_it_as_taken() -> None:
    """A round that fails, as while the API server is away, must not make studies wake each other, nor themselves."""
    one = world(Limits(total=4), A, B)
    one.look(A)
    one.look(B)
    for key in (A, B, A, B):
        most = one.shares.most(key, 10)
        assert most is not None
        one.shares.hold(key, most)
        one.shares.hold(key, 1)
        one.woken.clear()
    one.shares.most(A, 10)
    one.shares.hold(A, 2)
    one.shares.hold(A, 1)
    assert list(one.woken) == []


def test_a_study_is_woken_once_for_the_same_place() -> None:
    one = world(Limits(total=4), A, B)
    one.look(A)
    one.look(B)
    one.shares.hold(A, 3)
    assert list(one.woken) == [B]
    one.woken.clear()
    one.shares.hold(A, 3)
    assert list(one.woken) == []
    one.shares.hold(A, 2)
    assert list(one.woken) == [B]


def test_a_study_that_has_what_it_wants_is_not_woken() -> None:
    one = world(Limits(total=4), A, B, parallelism=2)
    one.look(A)
    one.look(B)
    one.shares.hold(A, 0)
    assert list(one.woken) == []


# Whatever happens

limits = st.builds(Limits, total=st.none() | st.integers(1, 8), per_namespace=st.none() | st.integers(1, 4))
studies = st.lists(
    st.tuples(st.sampled_from("xyz"), st.integers(1, 9), st.integers(0, 20)), min_size=1, max_size=8
)  # namespace, parallelism, trials
events = st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=60)


@settings(deadline=None)
@given(limits, studies, events)
def test_nothing_is_left_lying_while_somebody_wants_it_and_no_limit_is_exceeded(
    limits: Limits, studies: Sequence[tuple[str, int, int]], events: Sequence[tuple[int, bool]]
) -> None:
    keys = [StudyKey(namespace, str(number)) for number, (namespace, _, _) in enumerate(studies)]
    one = World(
        limits,
        {key: parallelism for key, (_, parallelism, _) in zip(keys, studies, strict=True)},
        {key: trials for key, (_, _, trials) in zip(keys, studies, strict=True)},
    )
    for number, seen_apart in events:
        key = keys[number % len(keys)]
        if one.held.get(key):
            one.end_trial(key, seen_apart=seen_apart)
        else:
            one.look(key)
            one.settle()
        for other in one.held:
            assert not one.wants_more(other) or one.full(other), (other, one.held)


@settings(deadline=None)
@given(limits, studies)
def test_everybody_who_waits_gets_a_place_in_time(limits: Limits, studies: Sequence[tuple[str, int, int]]) -> None:
    keys = [StudyKey(namespace, str(number)) for number, (namespace, _, _) in enumerate(studies)]
    one = World(
        limits, {key: parallelism for key, (_, parallelism, _) in zip(keys, studies, strict=True)}, dict.fromkeys(keys, 10**6)
    )
    for key in keys:
        one.look(key)
    one.settle()
    waited = dict.fromkeys(keys, 0)
    running = deque(key for key in keys for _ in range(one.held[key]))
    for _ in range(12 * len(keys)):
        ending = running.popleft()  # trials are of one length
        before = dict(one.held) | {ending: one.held[ending] - 1}
        one.end_trial(ending)
        running.extend(key for key in keys for _ in range(one.held[key] - before[key]))
        waited = {key: 0 if one.held[key] else waited[key] + 1 for key in keys}
        assert max(waited.values()) <= 4 * len(keys), (limits, one.held)


@settings(deadline=None)
@given(st.integers(1, 8), studies)
def test_studies_that_want_much_come_to_equal_parts(total: int, studies: Sequence[tuple[str, int, int]]) -> None:
    keys = [StudyKey(namespace, str(number)) for number, (namespace, _, _) in enumerate(studies)]
    one = world(Limits(total=total), *keys, parallelism=total, trials=10**6)
    for key in keys:
        one.look(key)
    running = deque(key for key in keys for _ in range(one.held[key]))
    for _ in range(8 * total):
        ending = running.popleft()
        before = dict(one.held) | {ending: one.held[ending] - 1}
        one.end_trial(ending)
        running.extend(key for key in keys for _ in range(one.held[key] - before[key]))
    assert sum(one.held.values()) == total
    assert max(one.held.values()) - min(one.held.values()) <= 1
