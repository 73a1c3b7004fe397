"""`tuning watch`: a study in a cluster while it goes on, as `tuning run` shows one on this machine.

The operator's gateway tells of every trial. Whoever cannot reach it sees what the study's object says, if they may get that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.text import Text

from tuning_operator.api.status import StudyStatus
from tuning_operator.api.study import TuningStudy
from tuning_operator.cli.cluster import ClusterError, UnreachableError
from tuning_operator.cli.progress import panel, shown
from tuning_operator.cli.remote import GatewayError, NoSuchStudyError, RemoteStudy
from tuning_operator.cli.result import headline, result_table
from tuning_operator.cli.run import ExitCode
from tuning_operator.engine.facts import StudyFacts
from tuning_operator.gateway.people_wire import StudyDocument, TrialView, facts_of

_WAIT: Final = 15
"""Seconds for which the gateway is asked to wait for a change."""

_PAUSE: Final = 5.0
"""Seconds between looks where nothing waits for a change."""


class StudyGoneError(ClusterError):
    """The study was deleted before it was finished."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A study at one moment."""

    study: TuningStudy
    facts: StudyFacts  # without trials where only the object can be read
    note: str = ""  # what keeps the trials from being seen

    @property
    def status(self) -> StudyStatus:
        """The study's status; that of a study that nobody has looked at is empty."""
        return self.study.status or StudyStatus()

    @property
    def finished(self) -> bool:
        """Whether nothing will change any more."""
        return self.status.phase in {"Succeeded", "Failed"}


class Follower:
    """Looks at a study again and again, at what has changed alone."""

    def __init__(self, remote: RemoteStudy) -> None:
        self._remote = remote
        self._uid = ""
        self._version = ""
        self._trials: dict[int, TrialView] = {}
        self._without_gateway: GatewayError | None = None

    def look(self, *, wait: int = 0) -> Look:
        """The study now, or as soon as it changes within so many seconds.

        Raises:
            NoSuchStudyError: there is none.
            StudyGoneError: there is none any more.
            UnreachableError: the API server does not answer.
            ClusterError: nothing of it can be read.
        """
        if self._without_gateway is not None:
            return self._at_object(self._without_gateway)
        try:
            document = self._remote.progress(uid=self._uid, after=self._version, wait=wait)
        except GatewayError as error:
            if not error.passing:
                self._without_gateway = error
            return self._at_object(error)
        except NoSuchStudyError as error:
            # The operator may not have seen it yet.
            return self._at_object(error)
        return self._merged(document)

    def _merged(self, document: StudyDocument) -> Look:
        study = document.study
        if document.complete:
            self._trials.clear()
        self._trials.update({trial.number: trial for trial in document.trials})
        self._uid, self._version = study.metadata.uid, document.version
        trials = tuple(self._trials[number] for number in sorted(self._trials))
        look = Look(study=study, facts=facts_of(study.spec, document.model_copy(update={"trials": trials})))
        if not document.running and not look.finished:
            self._still_there()
        return look

    def _at_object(self, reason: ClusterError) -> Look:
        try:
            study = self._there()
        except (StudyGoneError, NoSuchStudyError, UnreachableError):
            raise
        except ClusterError as error:
            raise ClusterError(f"{reason}\n{error}") from None
        facts = StudyFacts(spec=study.spec, generation=study.metadata.generation, began_at=0.0)
        return Look(study=study, facts=facts, note=str(reason))

    def _still_there(self) -> None:
        """Tell a study that the operator has yet to take up from one that was deleted."""
        try:
            self._there()
        except (StudyGoneError, UnreachableError):
            raise
        except ClusterError:
            pass  # nobody can say

    def _there(self) -> TuningStudy:
        try:
            study = self._remote.object()
        except NoSuchStudyError as error:
            raise (self._gone("was deleted") if self._uid else error) from None
        if self._uid and study.metadata.uid != self._uid:
            raise self._gone("was deleted and created again")
        self._uid = study.metadata.uid
        return study

    def _gone(self, what: str) -> StudyGoneError:
        return StudyGoneError(
            f"study {self._remote.name} {what} before it was finished; what it found is in: "
            f"tuning report {self._remote.name} --namespace={self._remote.namespace} --uid={self._uid}"
        )


def watch_study(remote: RemoteStudy, *, once: bool, console: Console, pause: Callable[[float], object] = time.sleep) -> ExitCode:
    """Show a study until it is finished, or as it is now.

    Raises:
        ClusterError: it cannot be seen, or was deleted.
    """
    follower = Follower(remote)
    look = follower.look()
    notes = _Notes(console)
    notes.tell(look.note)
    title = f"study {remote.namespace}/{remote.name}"
    if once and not look.finished:
        console.print(panel(title, look.facts, look.status))
    if not once and not look.finished:
        look = _followed(follower, look, title, console=console, notes=notes, pause=pause)
    console.print(result_table(look.study.spec, look.status))
    return _exit_code(look.status)


def _followed(
    follower: Follower, look: Look, title: str, *, console: Console, notes: _Notes, pause: Callable[[float], object]
) -> Look:
    told = {trial.number for trial in look.facts.trials if trial.finished}
    with shown(console, title, told=told) as progress:
        while True:
            progress(look.facts, look.status)
            if look.note and not console.is_terminal:
                notes.tell_status(look.status)
            if look.finished:
                return look
            if look.note:
                pause(_PAUSE)
            try:
                look = follower.look(wait=_WAIT)
            except UnreachableError as error:
                notes.tell(str(error))
                pause(_PAUSE)
            else:
                notes.tell(look.note)


class _Notes:
    """Says everything once, until something else is to be said."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = ""
        self._status = ""

    def tell(self, note: str) -> None:
        """Say what keeps a part of the study from being seen; nothing when nothing does."""
        if note and note != self._told:
            self._console.print(Text(f"Not all of the study can be seen: {note}", style="yellow"), soft_wrap=True)
        self._told = note

    def tell_status(self, status: StudyStatus) -> None:
        """Say how the study stands."""
        words = headline(status)
        if words != self._status:
            self._console.print(Text(words), soft_wrap=True)
        self._status = words


def _exit_code(status: StudyStatus) -> ExitCode:
    """As `tuning run` ends; a study that goes on is no failure."""
    if status.phase == "Failed":
        return ExitCode.FAILED
    halted = any(condition.type in {"Stalled", "Suspended"} and condition.status == "True" for condition in status.conditions)
    return ExitCode.STALLED if halted else ExitCode.SUCCEEDED
