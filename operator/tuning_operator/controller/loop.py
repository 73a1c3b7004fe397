"""Looking at one study again and again, until there is nothing left to do for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from tuning_operator.controller.study import StudyController
from tuning_operator.engine.facts import StudyFacts
from tuning_operator.search.searcher import SearchFailed
from tuning_operator.store.errors import DatabaseUnavailableError

_log = logging.getLogger(__name__)

TICK_SECONDS: Final = 1.0
"""How often time alone may change a decision: time limits, maxDuration."""

_FIRST_BACKOFF: Final = 1.0
_LONGEST_BACKOFF: Final = 30.0


def backoffs() -> Iterator[float]:
    """Seconds to wait after the first, second ... failure in a row."""
    delay = _FIRST_BACKOFF
    while True:
        yield delay
        delay = min(2 * delay, _LONGEST_BACKOFF)


async def run_until_at_rest(
    study: StudyController, wake: asyncio.Event, *, looked: Callable[[StudyFacts], object], tick: float = TICK_SECONDS
) -> StudyFacts:
    """Reconcile at every wake and every tick until the study is finished, or stalled or suspended with nothing running.

    A database that is away is waited for: trials go on meanwhile, and their results are kept by the runtime.

    Args:
        study: to be run.
        wake: set whenever something has happened to the study.
        looked: called with the facts after every round.
        tick: seconds between looks when nothing happens.

    Raises:
        StoreError: the study is somebody else's now, or the database holds something unexpected.
    """
    delays = backoffs()
    reload = False
    while True:
        wake.clear()
        try:
            if reload:
                await study.reload()
            acted = await study.reconcile()
        except (DatabaseUnavailableError, SearchFailed) as error:
            reload = isinstance(error, DatabaseUnavailableError)
            delay = next(delays)
            _log.warning("%s: %s; trying again in %.0f s", study.name, error, delay)
            await asyncio.sleep(delay)
            continue
        delays, reload = backoffs(), False
        facts = study.facts()
        looked(facts)
        if acted:
            continue
        if at_rest(facts):
            return facts
        with suppress(TimeoutError):
            async with asyncio.timeout(tick):
                await wake.wait()


def at_rest(facts: StudyFacts) -> bool:
    """Whether nothing can happen without a person: finished, or halted with no attempt alive."""
    return facts.finished_at is not None or (facts.halted and not facts.live)
