"""The study database: Optuna's tables and a few of our own, in PostgreSQL or SQLite. Synchronous: call it from threads.

`prepare(url)` once, `Database.connect(url)` per process, `database.adopt(identity, ...)` per study; the `Ledger` it gives
is the study's one writer until another one adopts the study.
"""

from tuning_operator.store.database import Database
from tuning_operator.store.errors import (
    ConflictError,
    DatabaseUnavailableError,
    DatabaseUrlError,
    FencedError,
    ForeignWriteError,
    SchemaMismatchError,
    StoreError,
)
from tuning_operator.store.identity import StudyIdentity
from tuning_operator.store.ledger import Ledger
from tuning_operator.store.prepare import prepare
from tuning_operator.store.records import Event, EventKind, ReportedPoint, StoredStudy, StudySummary

__all__ = [
    "ConflictError",
    "Database",
    "DatabaseUnavailableError",
    "DatabaseUrlError",
    "Event",
    "EventKind",
    "FencedError",
    "ForeignWriteError",
    "Ledger",
    "ReportedPoint",
    "SchemaMismatchError",
    "StoreError",
    "StoredStudy",
    "StudyIdentity",
    "StudySummary",
    "prepare",
]
