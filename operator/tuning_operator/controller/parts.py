"""What a study works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tuning_operator.controller.shares import NoLimit, Share
from tuning_operator.runtime.protocol import Runtime
from tuning_operator.search.searcher import Searcher
from tuning_operator.store.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The database, the runtime, the search and the clock of one study."""

    ledger: Ledger
    runtime: Runtime
    searcher: Searcher
    clock: Callable[[], float]  # seconds since the epoch
    write_reports: Callable[[], Awaitable[None]]  # returns once every report taken so far is in the database
    expire: Callable[[], Awaitable[None]]  # deletes the study object after its time to live
    share: Share = NoLimit()  # noqa: RUF009 - it has no state
    overtaken: Callable[[], bool] = lambda: False  # whether somebody wants something else since the last round began
