"""The HTTP API that a running trial talks to: what it is, its reports, whether to stop, its result.

It knows the controller only as a `Desk` and a trial's identity only through an `Authenticator`, so that it can
become a process of its own.
"""

from tuning_operator.gateway.batch import Report, ReportWriter
from tuning_operator.gateway.desk import (
    AttemptRef,
    Authenticator,
    Desk,
    Point,
    Superseded,
    TrialCard,
    Unavailable,
    UnknownAttempt,
)
from tuning_operator.gateway.server import Gateway
from tuning_operator.gateway.tokens import LocalTokens

__all__ = [
    "AttemptRef",
    "Authenticator",
    "Desk",
    "Gateway",
    "LocalTokens",
    "Point",
    "Report",
    "ReportWriter",
    "Superseded",
    "TrialCard",
    "Unavailable",
    "UnknownAttempt",
]
