"""Is the operator alive, is it of use, and what it says in figures."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from tuning_operator.telemetry.metrics import REGISTRY
from tuning_operator.telemetry.process import ProcessCollector, ProcessFigures
from tuning_operator.telemetry.studies import StudiesCollector, StudyFigures

DEAF_SECONDS: Final = 120.0
"""A watch that has said nothing for so long after a list found news is deaf."""

LISTED_WITHIN_SECONDS: Final = 900.0
"""Of the lists every five minutes three in a row have failed."""

_LAG_SECONDS: Final = 0.5
_LAGS: Final = 120  # a minute of them
_SHUTDOWN_SECONDS: Final = 2.0


@dataclass
class Health:
    """The signs of life. Written by those who live, read by probes. Times are those of the clock."""

    clock: Callable[[], float]  # seconds since the epoch
    ready: bool = False
    last_event_at: float | None = None  # of any watch
    listed_at: float | None = None  # when the last list was complete
    found_news_at: float | None = None  # begin of the last list that knew more than the watches had said until then
    lags: deque[float] = field(default_factory=lambda: deque(maxlen=_LAGS))  # of the event loop; seconds, the newest last

    @property
    def loop_lag(self) -> float:
        """How late the event loop was, at worst in the last minute; seconds."""
        return max(self.lags, default=0.0)

    def figures(self, *, queue_depth: int, open_studies: int) -> ProcessFigures:
        """All of it as gauges show it."""
        return ProcessFigures(
            queue_depth=queue_depth,
            open_studies=open_studies,
            event_loop_lag=self.loop_lag,
            last_watch_event_at=self.last_event_at or 0.0,
            last_list_at=self.listed_at or 0.0,
        )

    def event(self) -> None:
        """A watch brought something."""
        self.last_event_at = self.clock()

    def listed(self, *, began_at: float, news: bool) -> None:
        """All objects were listed.

        Args:
            began_at: what a watch brings from then on may be what the list has found.
            news: whether it held what was not known. The first one is nothing but news.
        """
        if news and self.listed_at is not None:
            self.found_news_at = began_at
        self.listed_at = self.clock()

    def illness(self) -> str | None:
        """Why a restart would help; None when it would not, as before the first list."""
        now = self.clock()
        if self.found_news_at is not None and (self.last_event_at or 0.0) < self.found_news_at < now - DEAF_SECONDS:
            return f"the watch brings nothing: a list found changes {now - self.found_news_at:.0f} s ago"
        if self.listed_at is not None and self.listed_at < now - LISTED_WITHIN_SECONDS:
            return f"nothing could be listed for {now - self.listed_at:.0f} s"
        return None

    async def measure_loop(self) -> None:
        """Measure for ever how late the event loop is."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(_LAG_SECONDS)
            self.lags.append(max(0.0, loop.time() - before - _LAG_SECONDS))


class Monitoring:
    """The HTTP server of /healthz, /readyz and /metrics."""

    def __init__(
        self,
        health: Health,
        *,
        depth: Callable[[], int],
        database: Callable[[], Awaitable[str | None]],
        studies: Callable[[], Iterable[StudyFigures]] = tuple,
        open_studies: Callable[[], int] = int,
    ) -> None:
        """Serve what these say, and what is counted and timed elsewhere.

        Args:
            health: of the process.
            depth: studies that wait to be looked at.
            database: why the database cannot be used; None when it can.
            studies: all that there are. No I/O.
            open_studies: how many of them are held in memory with all their trials.
        """
        self._health = health
        self._database = database
        self._registry = CollectorRegistry()
        self._runner: web.AppRunner | None = None
        self._registry.register(ProcessCollector(lambda: health.figures(queue_depth=depth(), open_studies=open_studies())))
        self._registry.register(StudiesCollector(studies))

    async def start(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be listened on.
        """
        application = web.Application()
        application.add_routes(
            [web.get("/healthz", self._healthz), web.get("/readyz", self._readyz), web.get("/metrics", self._metrics)]
        )
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        """200 unless a restart would help: a database that is away is not mended by one."""
        health, now = self._health, self._health.clock()
        illness = health.illness()
        signs = {
            "alive": illness is None,
            "illness": illness,
            "seconds_since_watch_event": _since(health.last_event_at, now),
            "seconds_since_list": _since(health.listed_at, now),
            "event_loop_lag_seconds": round(health.loop_lag, 3),
            "database": await self._database() or "ok",
        }
        return web.json_response(signs, status=200 if illness is None else 503)

    async def _readyz(self, _request: web.Request) -> web.Response:
        """200 when studies are looked at and results can be taken."""
        problem = None if self._health.ready else "the operator is starting"
        problem = problem or await self._database()
        return web.json_response({"ready": problem is None, "problem": problem}, status=200 if problem is None else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry) + generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


def _since(moment: float | None, now: float) -> float | None:
    return None if moment is None else round(now - moment, 1)
