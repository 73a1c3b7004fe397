"""How long requests take."""

from __future__ import annotations

import time

from aiohttp import web
from aiohttp.typedefs import Handler

from tuning_operator.telemetry.metrics import GATEWAY


@web.middleware
async def timed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Time a request. To stand before what turns errors into answers, so that it sees their codes."""
    began, code = time.perf_counter(), 0
    try:
        response = await handler(request)
        code = response.status
    finally:
        # The pattern of the path: names in it are without number.
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else ""
        GATEWAY.labels(request.method, route, code).observe(time.perf_counter() - began)
    return response
