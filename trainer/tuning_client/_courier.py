"""Reports and the result on their way to the gateway, on a thread of their own; its decision on the way back.

The training thread only appends to a queue and reads the latest decision. Whatever the gateway does, it loses at
most reports: the result stands in the result file before it is posted.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Final

from tuning_client._console import warn
from tuning_client._http import Answer, GatewayConnection, UnreachableError
from tuning_client._result import wire_value

SUPERSEDED: Final = "superseded"
"""The client's own reason to stop: a newer attempt of the trial runs, or the trial has ended; nothing here counts any more."""

CAPACITY: Final = 5_000
"""Reports kept while the gateway is away; the oldest go first."""

BATCH: Final = 500
"""Reports in one request. The gateway takes 1,000, and 64 KiB."""

_REFUSED: Final = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
_FAILURES_BEFORE_WARNING: Final = 3


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often, and how long at most; seconds."""

    between_requests: float = 1.0  # reports made meanwhile travel together
    between_questions: float = 15.0  # whether to go on, when there is nothing to report
    request: float = 5.0
    first_retry: float = 1.0  # doubled with each failure
    longest_retry: float = 30.0
    last_retries: float = 0.25  # while the script waits for its result to be taken, or leaves
    result: float = 5.0  # the script waits no longer for its result to be taken
    farewell: float = 2.0  # nor for its last reports


class Courier:
    """A daemon thread with a bounded queue. No method raises, and only `result` and `close` wait, both with a bound."""

    def __init__(self, connection: GatewayConnection, pace: Pace) -> None:
        self._connection = connection
        self._pace = pace
        self.changed = threading.Condition()
        self.stop_reason: str | None = None
        self._points: deque[tuple[int, float]] = deque()
        self._result: bytes | None = None
        self._closing = False
        self._gave_up = False
        self._lost = 0
        self._failures = 0
        self._warned = False
        self._not_before = time.monotonic()
        self._next_question = time.monotonic() + pace.between_questions
        self._thread = threading.Thread(target=self._run, name="tuning-client", daemon=True)
        self._thread.start()

    def report(self, step: int, value: float) -> None:
        """Queue a report: microseconds, no network."""
        with self.changed:
            self._points.append((step, value))
            self._drop_oldest()
            if len(self._points) == 1:  # otherwise the thread knows already that there is something to send
                self.changed.notify_all()

    def result(self, body: bytes) -> bool:
        """Post the result after all reports; wait until it is taken, but no longer than `Pace.result`. Whether it was."""
        if not self._thread.is_alive():  # closed, superseded, or in a forked child
            return False
        with self.changed:
            self._result = body
            self._hurry()
            taken = self.changed.wait_for(lambda: self._result is None or self._superseded, self._pace.result)
            self._result = None
            self._gave_up = not taken
        if not taken:
            self._warn(f"the gateway did not take the result within {self._pace.result:g} s; the result file has it")
        return taken

    def close(self) -> None:
        """Send what is left, waiting no longer than `Pace.farewell`, and end the thread."""
        with self.changed:
            self._closing = True
            if self._gave_up:
                self._abandon()
            self._hurry()
        self._thread.join(self._pace.farewell)
        with self.changed:
            self._abandon()
        if self._lost and not self._superseded:
            self._warn(f"{self._lost} reports did not reach the gateway; the training is not affected")

    @property
    def _superseded(self) -> bool:
        return self.stop_reason == SUPERSEDED

    @property
    def _hurrying(self) -> bool:
        return self._closing or self._result is not None

    def _hurry(self) -> None:
        self._not_before = time.monotonic()
        self.changed.notify_all()

    def _abandon(self) -> None:
        self._lost += len(self._points)
        self._points.clear()
        self._result = None

    def _drop_oldest(self) -> None:
        while len(self._points) > CAPACITY:
            self._points.popleft()
            self._lost += 1

    def _run(self) -> None:
        while (task := self._wait_for_task()) is not None:
            task()

    def _wait_for_task(self) -> Callable[[], None] | None:
        with self.changed:
            while not self._over():
                now = time.monotonic()
                if now < self._not_before:
                    self.changed.wait(self._not_before - now)
                elif self._points:
                    return self._send_points
                elif self._result is not None:
                    return self._send_result
                elif now >= self._next_question:
                    return self._ask
                else:
                    self.changed.wait(self._next_question - now)
        return None

    def _over(self) -> bool:
        return self._superseded or (self._closing and not self._points and self._result is None)

    def _send_points(self) -> None:
        with self.changed:
            batch = list(islice(self._points, BATCH))
            for _ in batch:
                self._points.popleft()
        points = [{"step": step, "value": wire_value(value)} for step, value in batch]
        body = json.dumps({"points": points}).encode()
        if not self._settled(lambda: self._connection.post("/v1/reports", body, timeout=self._pace.request)):
            with self.changed:
                self._points.extendleft(reversed(batch))
                self._drop_oldest()

    def _send_result(self) -> None:
        with self.changed:
            body = self._result
        if body is None:  # given up meanwhile
            return
        if self._settled(lambda: self._connection.post("/v1/result", body, timeout=self._pace.request)):
            with self.changed:
                if self._result is body:
                    self._result = None
                self.changed.notify_all()

    def _ask(self) -> None:
        self._settled(lambda: self._connection.get("/v1/decision", timeout=self._pace.request))

    def _settled(self, send: Callable[[], Answer]) -> bool:
        """Whether the request needs no repetition: taken, refused for good, or pointless from now on."""
        try:
            answer = send()
        except UnreachableError as error:
            self._failed(str(error), retry_after=None)
            return False
        if answer.status == HTTPStatus.OK:
            stop = answer.body.get("stop")
            self._heard(stop if isinstance(stop, str) else None)
        elif answer.status == HTTPStatus.GONE:
            self._heard(SUPERSEDED)
        elif answer.status in _REFUSED:
            self._warn(f"the gateway refused what was sent: {answer.body.get('error', f'HTTP {answer.status}')}")
            self._heard(None)
        else:
            self._failed(f"HTTP {answer.status}", retry_after=answer.retry_after)
            return False
        return True

    def _heard(self, stop: str | None) -> None:
        """The gateway is there. An attempt that was asked to stop is never asked to go on, so no answer takes a reason back."""
        with self.changed:
            now = time.monotonic()
            self._failures = 0
            self._not_before = now if self._hurrying else now + self._pace.between_requests
            self._next_question = now + self._pace.between_questions
            self.stop_reason = stop or self.stop_reason
            self.changed.notify_all()

    def _failed(self, why: str, *, retry_after: float | None) -> None:
        with self.changed:
            self._failures += 1
            self._not_before = time.monotonic() + self._back_off(retry_after)
            self.changed.notify_all()
        if self._failures == _FAILURES_BEFORE_WARNING:
            self._warn(f"the gateway at {self._connection.endpoint} cannot be reached ({why}); the training goes on without it")

    def _back_off(self, retry_after: float | None) -> float:
        if self._hurrying:
            return self._pace.last_retries
        if retry_after is not None:
            return retry_after
        longest = min(self._pace.longest_retry, self._pace.first_retry * 2.0 ** min(self._failures - 1, 16))
        # Not the module `random`: its state belongs to the training, whose runs must repeat.
        return longest * secrets.SystemRandom().uniform(0.5, 1.0)

    def _warn(self, sentence: str) -> None:
        """One warning is enough; a log full of them helps nobody."""
        if not self._warned:
            self._warned = True
            warn(sentence)
