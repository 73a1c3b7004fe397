"""Every error as JSON: ``{"error": "one sentence"}``. A stack trace stays in the log."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from tuning_operator.gateway.desk import Superseded, Unavailable, UnknownAttempt
from tuning_operator.gateway.wire import MalformedError

logger = logging.getLogger(__name__)

RETRY_AFTER: Final = 1
"""Seconds after which a client may repeat a request that could not be served."""


def refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error as the API answers it."""
    return web.json_response({"error": sentence}, status=status, headers=headers)


@web.middleware
async def errors_as_sentences(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever a handler raises."""
    try:
        return await handler(request)
    except (MalformedError, UnknownAttempt, Superseded, Unavailable, TimeoutError) as error:
        return _expected(error)
    except web.HTTPException as error:
        return _http(error, request)
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed; its log says why")


def _expected(error: Exception) -> web.Response:
    match error:
        case MalformedError():
            return refusal(HTTPStatus.BAD_REQUEST, str(error))
        case UnknownAttempt():
            return refusal(HTTPStatus.NOT_FOUND, str(error) or "no such trial runs; its study may be gone")
        case Superseded():
            return refusal(HTTPStatus.GONE, str(error) or "this attempt is over; leave, nothing that it says counts any more")
        case _:
            sentence = str(error) or "not now; send the same request again"
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, sentence, {hdrs.RETRY_AFTER: str(RETRY_AFTER)})


def _http(error: web.HTTPException, request: web.Request) -> web.Response:
    match error:
        case web.HTTPNotFound():
            return refusal(error.status, f"there is nothing at {request.path}; see docs/contract.md for the API")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return refusal(error.status, f"{request.method} is not for {request.path}; use {allowed}", {hdrs.ALLOW: allowed})
        case web.HTTPUnauthorized():
            return refusal(error.status, error.text or error.reason, {hdrs.WWW_AUTHENTICATE: "Bearer"})
        case _:
            return refusal(error.status, error.text or error.reason)
