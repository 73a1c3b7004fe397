"""Looking at one study again and again, until there is nothing left to do for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tuning_operator.controller.backoff import backoffs
from tuning_operator.controller.study import StudyController
from tuning_operator.engine.facts import StudyFacts
from tuning_operator.runtime.protocol import RuntimeUnavailableError
from tuning_operator.store.errors import DatabaseUnavailableError

_log = logging.getLogger(__name__)

TICK_SECONDS: Final = 1.0
"""How often time alone may change a decision: time limits, maxDuration."""


async def run_until_at_rest(
    study: StudyController,
    wake: asyncio.Event,
    *,
    looked: Callable[[StudyFacts], object],
    trouble: Callable[[str], object] = _log.warning,
    tick: float = TICK_SECONDS,
) -> StudyFacts:
    """Reconcile at every wake and every tick until the study is finished, or stalled or suspended with nothing running.

    A database that is away is waited for: trials go on meanwhile, and their results are kept by the runtime.

    Args:
        study: to be run.
        wake: set whenever something has happened to the study.
        looked: called with the facts after every round.
        trouble: called with a sentence when something is away and will be tried again.
        tick: seconds between looks when nothing happens.

    Raises:
        StoreError: the study is somebody else's now, or the database holds something unexpected.
    """
    delays = backoffs()
    while True:
        wake.clear()
        try:
            acted = await study.reconcile()
        except (DatabaseUnavailableError, RuntimeUnavailableError) as error:
            delay = next(delays)
            trouble(f"{error}; trying again in {delay:.0f} s")
            await _rest(wake, delay, until=lambda: study.spec.suspend)
            continue
        delays = backoffs()
        facts = study.facts()
        looked(facts)
        if acted:
            continue
        if at_rest(facts):
            return facts
        await _rest(wake, tick, until=lambda: True)


async def _rest(wake: asyncio.Event, seconds: float, *, until: Callable[[], bool]) -> None:
    """Wait for the time to pass, or for a wake with which the condition holds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
            while not until():
                wake.clear()
                await wake.wait()


def at_rest(facts: StudyFacts) -> bool:
    """Whether nothing can happen without a person: finished, or halted with no attempt alive."""
    return facts.finished_at is not None or (facts.halted and not facts.live)
