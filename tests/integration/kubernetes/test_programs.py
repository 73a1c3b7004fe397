"""Background programs end with the tests, also when those are killed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cluster.binaries import BuildError, binary, etcd
from tests.cluster.control_plane import PREFIX, sweep
from tests.cluster.go import GoMissingError, go
from tests.cluster.locks import BusyError, exclusive
from tests.cluster.processes import Identity, ProgramError, Programs

SLEEP = ("sleep", "600")


@pytest.fixture
def sleeper() -> Iterator[Identity]:
    """A process that would sleep for ten minutes."""
    with subprocess.Popen(SLEEP) as child:
        identity = Identity.of(child.pid)
        assert identity
        yield identity
        child.kill()


def test_programs_are_gone_after_stop(tmp_path: Path) -> None:
    programs = Programs(tmp_path)
    programs.start("first", SLEEP)
    programs.start("second", SLEEP)
    started = [Identity.read(file) for file in tmp_path.glob("*.pid")]
    assert [each.alive for each in started] == [True, True]
    programs.stop()
    assert [each.alive for each in started] == [False, False]


def test_a_program_that_ends_too_early_shows_its_last_words(tmp_path: Path) -> None:
    programs = Programs(tmp_path)
    programs.start("hasty", ("sh", "-c", "echo no such flag >&2; exit 1"))
    with pytest.raises(ProgramError, match="hasty ended: no such flag"):
        programs.wait("hasty", lambda: False, seconds=60)


def test_a_program_that_is_never_ready_is_named(tmp_path: Path) -> None:
    programs = Programs(tmp_path)
    programs.start("slow", SLEEP)
    with pytest.raises(ProgramError, match="slow is ready: not after 0 s"):
        programs.wait("slow", lambda: False, seconds=0)
    programs.stop()


def test_what_a_killed_run_left_is_ended_and_removed(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    programs = Programs(left)
    programs.start("etcd", SLEEP)
    orphan = Identity.read(left / "etcd.pid")
    dead_owner().write(left / "owner.json")
    sweep(tmp_path)
    assert not orphan.alive
    assert not left.exists()
    programs.stop()


def test_the_programs_of_a_run_that_goes_on_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / f"{PREFIX}other"
    other.mkdir()
    programs = Programs(other)
    programs.start("etcd", SLEEP)
    running = Identity.of(os.getpid())
    assert running
    running.write(other / "owner.json")
    sweep(tmp_path)
    assert Identity.read(other / "etcd.pid").alive
    programs.stop()


def dead_owner() -> Identity:
    child = subprocess.Popen(SLEEP)
    identity = Identity.of(child.pid)
    assert identity
    identity.end()
    child.wait()
    return identity


def test_a_process_that_got_the_pid_of_another_is_not_ended(sleeper: Identity) -> None:
    replace(sleeper, started=sleeper.started - 1).end()
    assert sleeper.alive


def test_a_process_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    programs = Programs(tmp_path)
    programs.start("deaf", ("sh", "-c", "trap '' TERM; echo ready; exec sleep 600"))
    programs.wait("deaf", lambda: (tmp_path / "deaf.log").read_text() == "ready\n", seconds=60)
    deaf = Identity.read(tmp_path / "deaf.pid")
    deaf.end(grace=0)
    assert not deaf.alive
    programs.stop()


def test_a_lock_refuses_a_second_holder_that_does_not_wait(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "lock"),
        pytest.raises(BusyError, match="locked by another process"),
        exclusive(tmp_path / "lock", wait=False),
    ):
        pass
    with exclusive(tmp_path / "lock", wait=False):
        assert (tmp_path / "lock").exists()


def test_a_program_that_is_at_hand_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    for name in ("kube-apiserver", "etcd"):
        (tmp_path / name).touch()
    assert binary("kube-apiserver") == tmp_path / "kube-apiserver"
    assert etcd() == tmp_path / "etcd"


def test_without_etcd_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="etcd is missing: install it with `apt-get install etcd-server`"):
        etcd()


def test_a_program_that_cannot_be_built_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("GOOS", "nothing")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    with pytest.raises(BuildError, match=r"celcost cannot be built: .*GOOS"):
        binary("celcost")
    assert [path.name for path in tmp_path.glob("tuning-operator/*/*")] == [".lock"]


def test_without_go_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GoMissingError, match=r"install 1\.24 or newer, or any older one with `apt-get install golang-go`"):
        go()
