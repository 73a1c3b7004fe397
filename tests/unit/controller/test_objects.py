"""TuningStudy objects as last seen: whatever happens to events on their way, they end as the cluster is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.controller.studies import KEY, study
from tests.unit.kubernetes.objects import NAMESPACE

from tuning_operator.controller.objects import StudyObjects, key_of
from tuning_operator.runtime.kubernetes.views import StudyKey

Raw = dict[str, Any]


# One study


def test_a_study_is_known_by_its_uid_and_found_by_its_name() -> None:
    objects = StudyObjects()
    assert objects.get(KEY) is None
    assert objects.find(NAMESPACE, "digits") is None
    raw = study()
    assert objects.apply(raw) == KEY
    assert objects.get(KEY) == raw
    assert objects.find(NAMESPACE, "digits") == KEY
    assert objects.find("elsewhere", "digits") is None
    assert objects.keys() == {KEY}


@pytest.mark.parametrize(
    ("later", "news"),
    [
        pytest.param(study(version=2), False, id="bookkeeping is no news"),
        pytest.param(study(version=1, generation=2), False, id="a version that is known says nothing"),
        pytest.param(study(version=2, generation=2), True, id="an edit of the spec is news"),
        pytest.param(study(version=2, status={"phase": "Running"}), True, id="a status that somebody wrote is news"),
        pytest.param(study(version=2, deletionTimestamp="2026-11-23T12:00:00Z"), True, id="a deletion that has begun is news"),
    ],
)
def test_an_event_names_the_study_when_it_says_anything_new(later: Raw, *, news: bool) -> None:
    objects = StudyObjects()
    objects.apply(study(version=1))
    assert objects.apply(later) == (KEY if news else None)


@pytest.mark.parametrize(
    ("later", "news"),
    [
        pytest.param(study(version=2, status={"phase": "Running"}), False, id="our own writing is no news"),
        pytest.param(study(version=2, status={"phase": "Failed"}), True, id="another status is news"),
        pytest.param(study(version=2, generation=2, status={"phase": "Running"}), True, id="an edit beside it is news"),
    ],
)
def test_a_status_that_the_watch_brings_before_the_answer_does_is_no_news(later: Raw, *, news: bool) -> None:
    objects = StudyObjects()
    objects.apply(study(version=1))
    objects.expect(KEY, {"phase": "Running"})
    assert objects.apply(later) == (KEY if news else None)


def test_what_is_not_news_is_taken_all_the_same_for_writes_need_the_newest_version() -> None:
    objects = StudyObjects()
    objects.apply(study(version=1))
    objects.apply(study(version=2))
    assert objects.get(KEY) == study(version=2)


def test_an_older_version_changes_nothing() -> None:
    objects = StudyObjects()
    objects.apply(study(version=3, generation=2))
    assert objects.apply(study(version=2)) is None
    assert objects.get(KEY) == study(version=3, generation=2)


def test_a_deletion_is_news_once_and_final() -> None:
    objects = StudyObjects()
    objects.apply(study(version=1))
    assert objects.apply(study(version=3), deleted=True) == KEY
    assert objects.apply(study(version=3), deleted=True) is None
    assert objects.apply(study(version=2)) is None
    assert objects.keys() == frozenset()


def test_a_study_that_a_request_did_not_find_does_not_come_back_by_a_late_event() -> None:
    """The answer "not found" knows the version that was asked for, not the one at which the study went."""
    objects = StudyObjects()
    objects.apply(study(version=3))
    assert objects.apply(study(version=3), deleted=True) == KEY
    late = study(version=4, deletionTimestamp="2026-11-23T12:00:00Z")
    assert objects.apply(late) is None
    assert objects.replace([late], version=4) == frozenset()
    assert objects.get(KEY) is None


def test_a_study_created_again_under_its_name_is_another_one() -> None:
    objects = StudyObjects()
    objects.apply(study(uid="old", version=1))
    objects.apply(study(uid="new", version=4))  # its predecessor's end is on its way
    assert objects.find(NAMESPACE, "digits") == StudyKey(NAMESPACE, "new")
    assert objects.apply(study(uid="old", version=3), deleted=True) == StudyKey(NAMESPACE, "old")
    assert objects.find(NAMESPACE, "digits") == StudyKey(NAMESPACE, "new")


def test_the_predecessor_of_a_name_does_not_take_it_back() -> None:
    objects = StudyObjects()
    objects.apply(study(uid="new", version=4))
    objects.apply(study(uid="old", version=2))
    assert objects.find(NAMESPACE, "digits") == StudyKey(NAMESPACE, "new")


# Lists


def test_a_list_names_what_it_knows_better() -> None:
    objects = StudyObjects()
    for name in ("same", "edited", "gone"):
        objects.apply(study(uid=name, name=name, version=1))
    items = [study(uid="same", name="same"), study(uid="edited", name="edited", version=5, generation=2)]
    new = study(uid="new", name="new", version=4)
    assert {key.uid for key in objects.replace([*items, new], version=6)} == {"edited", "gone", "new"}
    assert objects.keys() == {StudyKey(NAMESPACE, name) for name in ("same", "edited", "new")}
    assert objects.replace([*items, new], version=7) == frozenset()


def test_a_study_created_while_a_list_was_on_its_way_stays() -> None:
    objects = StudyObjects()
    objects.apply(study(version=7))
    assert objects.replace([], version=6) == frozenset()
    assert objects.keys() == {KEY}


def test_a_list_of_one_namespace_says_nothing_of_another() -> None:
    objects = StudyObjects()
    objects.apply(study(version=2))
    assert objects.replace([], version=6, namespace="elsewhere") == frozenset()
    assert objects.replace([], version=6, namespace=NAMESPACE) == {KEY}


def test_a_list_that_comes_after_a_later_one_says_nothing() -> None:
    objects = StudyObjects()
    objects.replace([], version=6)
    assert objects.replace([study(version=2)], version=4) == frozenset()
    assert objects.keys() == frozenset()


# Any order, doubles, losses


@dataclass(frozen=True)
class Event:
    raw: Raw
    deleted: bool = False


@dataclass
class Cluster:
    """An API server's history: events, and what stands after each of them."""

    events: list[Event] = field(default_factory=list)
    states: list[dict[StudyKey, Raw]] = field(default_factory=lambda: [{}])

    @property
    def version(self) -> int:
        return len(self.events)

    def step(self, namespace: str, name: str, action: str) -> None:
        standing = dict(self.states[-1])
        found = next((raw for raw in standing.values() if _name(raw) == (namespace, name)), None)
        if (found is None) != (action == "create"):
            return
        version = self.version + 1
        uid = found["metadata"]["uid"] if found else f"{name}-{version}"
        generation = found["metadata"]["generation"] + (action == "edit") if found else 1
        phase = "Running" if action == "write status" else (found or {}).get("status", {}).get("phase", "Pending")
        raw = study(
            namespace=namespace, name=name, uid=uid, version=version, generation=generation, spec={}, status={"phase": phase}
        )
        self.events.append(Event(raw, deleted=action == "delete"))
        standing[key_of(raw)] = raw
        if action == "delete":
            del standing[key_of(raw)]
        self.states.append(standing)

    def listed(self, version: int, namespace: str | None) -> list[Raw]:
        return [raw for raw in self.states[version].values() if namespace in (None, raw["metadata"]["namespace"])]


@dataclass
class Operator:
    """Objects, and what it did of those that it was told to look at."""

    objects: StudyObjects = field(default_factory=StudyObjects)
    seen: dict[StudyKey, Any] = field(default_factory=dict)

    def take(self, cluster: Cluster, item: Event | tuple[int, str | None]) -> None:
        if isinstance(item, Event):
            key = self.objects.apply(item.raw, deleted=item.deleted)
            news = {key} if key else set()
        else:
            version, namespace = item
            news = set(self.objects.replace(cluster.listed(version, namespace), version=version, namespace=namespace))
        for key in news:
            self.seen[key] = _meaning(self.objects.get(key))


def _name(raw: Raw) -> tuple[str, str]:
    return raw["metadata"]["namespace"], raw["metadata"]["name"]


def _meaning(raw: Any) -> Any:
    return raw and (raw["metadata"]["generation"], raw["status"])


NAMESPACES = ("research", "teaching")
NAMES = ("digits", "words")
ACTIONS = ("create", "edit", "write status", "delete")


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    steps = st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(NAMES), st.sampled_from(ACTIONS))
    cluster = Cluster()
    for step in draw(st.lists(steps, min_size=3, max_size=25)):
        cluster.step(*step)
    return cluster


def assert_as_the_cluster(operator: Operator, cluster: Cluster) -> None:
    standing = cluster.states[-1]
    assert operator.objects.keys() == standing.keys()
    for key, raw in standing.items():
        assert operator.objects.get(key) == raw
        assert operator.objects.find(*_name(raw)) == key
        assert operator.seen[key] == _meaning(raw), "it was looked at as it is"
    assert all(meaning is None for key, meaning in operator.seen.items() if key not in standing), "each end was looked at"
    names = {_name(raw) for raw in standing.values()}
    assert all(operator.objects.find(*name) is None for name in {(a, b) for a in NAMESPACES for b in NAMES} - names)


def lists(cluster: Cluster) -> st.SearchStrategy[tuple[int, str | None]]:
    return st.tuples(st.integers(0, cluster.version), st.sampled_from((None, *NAMESPACES)))


@given(cluster=clusters(), data=st.data())
def test_events_in_any_order_and_doubled_among_lists_of_any_age_end_as_the_cluster(cluster: Cluster, data: st.DataObject) -> None:
    doubled = data.draw(st.lists(st.sampled_from(cluster.events))) if cluster.events else []
    operator = Operator()
    happening: list[Event | tuple[int, str | None]] = [
        *cluster.events,
        *doubled,
        *data.draw(st.lists(lists(cluster), max_size=4)),
    ]
    for item in data.draw(st.permutations(happening)):
        operator.take(cluster, item)
    assert_as_the_cluster(operator, cluster)


@pytest.mark.parametrize("final", [(None,), NAMESPACES], ids=["of all", "of each namespace"])
@given(cluster=clusters(), data=st.data())
def test_lists_mend_lost_events_and_late_ones_do_no_harm_after_them(
    final: tuple[str | None, ...], cluster: Cluster, data: st.DataObject
) -> None:
    some = st.lists(st.one_of(st.sampled_from(cluster.events), lists(cluster))) if cluster.events else st.just([])
    operator = Operator()
    for item in [*data.draw(some), *((cluster.version, namespace) for namespace in final), *data.draw(some)]:
        operator.take(cluster, item)
    assert_as_the_cluster(operator, cluster)


@given(cluster=clusters(), data=st.data())
def test_nothing_is_kept_of_what_is_gone_once_a_list_says_so(cluster: Cluster, data: st.DataObject) -> None:
    operator = Operator()
    for event in data.draw(st.permutations(cluster.events)):
        operator.take(cluster, event)
    operator.take(cluster, (cluster.version, None))
    assert not operator.objects._gone
