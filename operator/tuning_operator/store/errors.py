"""What can go wrong with the database, by what the caller does about it."""

from __future__ import annotations

from collections.abc import Sequence


class StoreError(Exception):
    """Something about the study database."""


class DatabaseUrlError(StoreError):
    """The database URL is not one this program can use."""


class DatabaseUnavailableError(StoreError):
    """The database does not answer now. Nothing is lost: repeat the same call later.

    A write whose commit got no answer may have happened; every write is idempotent, so repeating it is right either way.
    """


class SchemaMismatchError(StoreError):
    """The tables are not those this program was written for."""

    def __init__(self, *, schema: str, found: str | None, expected: str, remedy: str) -> None:
        super().__init__(f"the database's {schema} schema is {found or 'missing'}, this program needs {expected}; {remedy}")
        self.schema = schema
        self.found = found
        self.expected = expected
        self.remedy = remedy


class FencedError(StoreError):
    """Another owner has taken the study over, or somebody deleted it. Nothing was written: drop it from memory."""


class ConflictError(StoreError):
    """The database holds something else than the caller believes. Nothing was written: load the study again."""


class ForeignWriteError(ConflictError):
    """Another program wrote into this study: it has trials, or ends of trials, that the operator did not write."""

    def __init__(self, study_name: str, numbers: Sequence[int], what: str) -> None:
        trials = ", ".join(str(number) for number in numbers[:10]) + (" ..." if len(numbers) > 10 else "")  # noqa: PLR2004
        super().__init__(
            f"study {study_name} has trials {what} by another program: {trials}; "
            "delete them, or re-create the study under a name that nobody else writes to"
        )
        self.numbers = tuple(numbers)
