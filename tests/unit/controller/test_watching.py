"""Watches that go wrong are begun anew, and none of them gives up."""

from __future__ import annotations

from itertools import islice
from typing import Any

import kopf
import pytest

from tuning_operator import process
from tuning_operator.controller.objects import StudyObjects
from tuning_operator.controller.observing import Observer, settings
from tuning_operator.runtime.kubernetes.cache import ClusterCache


async def test_watches_that_end_with_an_error_are_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []

    async def watch(*, registry: kopf.OperatorRegistry, **_: Any) -> None:
        begun.append(registry)
        if len(begun) < 3:
            raise RuntimeError("etcdserver: leader changed")

    monkeypatch.setattr(kopf, "operator", watch)
    monkeypatch.setattr(process, "_WATCH_AGAIN_SECONDS", 0.0)
    observer = Observer(StudyObjects(), ClusterCache(), changed=lambda _: None, alive=lambda: None)
    stopped: list[bool] = []
    await process._watch(observer, (), stop=lambda: stopped.append(True))
    # The third ended by itself, as kopf does at a signal.
    assert len(set(map(id, begun))) == 3
    assert stopped == [True]


def test_a_request_of_a_watch_is_repeated_for_ever_each_time_from_a_short_pause() -> None:
    pauses = settings().networking.error_backoffs
    assert not isinstance(pauses, float)
    for _ in range(2):
        assert [*islice(pauses, 7)] == [1, 2, 4, 8, 16, 30, 30]
