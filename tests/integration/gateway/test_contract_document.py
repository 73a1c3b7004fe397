"""docs/contract.md keeps what it promises: its examples against the real gateway, its shell script in a real shell."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.integration.gateway.memory_desk import MemoryDesk

from tuning_operator.api.contract import Result, parse_result
from tuning_operator.engine.facts import StopReason
from tuning_operator.gateway import AttemptRef, Gateway, LocalTokens, Point
from tuning_operator.gateway.wire import LARGEST_STEP, MAX_POINTS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "contract.md").read_text()

# The script's only need that is not in every base image; this speaks the few options that it uses.
CURL = f"""#!{sys.executable}
import sys, urllib.request
*options, endpoint = sys.argv[1:]
headers = dict(options[place + 1].split(": ", 1) for place, option in enumerate(options) if option == "--header")
body = options[options.index("--data") + 1].encode()
print(urllib.request.urlopen(urllib.request.Request(endpoint, body, headers), timeout=5).read().decode())
"""


def blocks(language: str, under: str = "") -> list[str]:
    """The code blocks of a language after a heading, up to the next one."""
    section = DOCUMENT[DOCUMENT.index(under) + len(under) :]
    return re.findall(rf"```{language}\n(.*?)```", section.partition("\n#")[0] if under else section, re.DOTALL)


def example(under: str, number: int = 0) -> Any:
    return json.loads(blocks("json", under)[number])


async def answer(http: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> Any:
    async with http.request(method, path, json=body) as response:
        assert response.status == 200
        return await response.json()


async def test_the_examples_of_requests_and_answers_are_true(
    http: aiohttp.ClientSession, desk: MemoryDesk, ref: AttemptRef
) -> None:
    assert await answer(http, "GET", "/v1/trial") == example("### `GET /v1/trial`")
    reports = "### `POST /v1/reports`"
    assert await answer(http, "POST", "/v1/reports", example(reports)) == example(reports, 1)
    assert desk.points[ref][0] == Point(0, 0.81)
    assert await answer(http, "POST", "/v1/result", example("## Result")) == example("### `POST /v1/result`")
    assert desk.results[ref] == Result(metrics={"val_accuracy": 0.971, "val_loss": 0.094})


def test_every_reason_to_stop_is_described() -> None:
    described = set(re.findall(r'^\| `"([a-z-]+)"` \|', DOCUMENT, re.MULTILINE))
    assert described == {reason.value for reason in StopReason}


def test_the_limits_are_the_gateway_s() -> None:
    assert f"from 0 to {LARGEST_STEP}," in DOCUMENT
    assert f"most {MAX_POINTS:,} points and 64 KiB" in DOCUMENT


class Shell:
    """Runs the document's script as a trial."""

    def __init__(self, place: Path, gateway: Gateway | None, token: str) -> None:
        self.result_file = place / "result.json"
        self.checkpoint = place / "checkpoint"
        self._script = place / "trial.sh"
        self._script.write_text(blocks("sh")[0])
        (place / "token").write_text(token)
        (place / "curl").write_text(CURL)
        (place / "curl").chmod(0o755)
        self._environment = {
            "PATH": f"{place}:{os.environ['PATH']}",
            "TUNING_PARAM_LEARNING_RATE": "0.5",
            "TUNING_CHECKPOINT_DIR": str(place),
            "TUNING_RESULT_FILE": str(self.result_file),
            "TUNING_TOKEN_FILE": str(place / "token"),
            **({"TUNING_ENDPOINT": gateway.endpoint} if gateway else {}),
        }

    async def run(self) -> int:
        process = await asyncio.create_subprocess_exec("sh", self._script, env=self._environment)
        return await process.wait()

    @property
    def result(self) -> Result:
        return parse_result(self.result_file.read_text())


FINAL = Result(metrics={"loss": 0.135335})


@pytest.fixture
def shell(tmp_path: Path, gateway: Gateway, tokens: LocalTokens, ref: AttemptRef) -> Shell:
    return Shell(tmp_path, gateway, tokens.issue(ref))


async def test_the_script_reports_and_gives_its_result(shell: Shell, desk: MemoryDesk, ref: AttemptRef) -> None:
    assert await shell.run() == 0
    assert [point.step for point in desk.points[ref]] == [0, 1, 2, 3, 4]
    assert (shell.result, desk.results[ref]) == (FINAL, FINAL)


async def test_the_script_needs_no_gateway(tmp_path: Path) -> None:
    shell = Shell(tmp_path, None, "")
    assert await shell.run() == 0
    assert shell.result == FINAL


async def test_the_script_leaves_when_it_is_pruned(shell: Shell, desk: MemoryDesk, ref: AttemptRef) -> None:
    desk.stops[ref] = StopReason.PRUNED
    assert await shell.run() == 0
    assert shell.result == Result(metrics={"loss": 1.0}, pruned=True)


async def test_the_script_goes_on_after_a_pause(shell: Shell, desk: MemoryDesk, ref: AttemptRef) -> None:
    desk.stops[ref] = StopReason.SUSPENDED
    assert await shell.run() == 75
    assert [point.step for point in desk.points[ref]] == [0]
    del desk.stops[ref]
    assert await shell.run() == 0
    assert [point.step for point in desk.points[ref]] == [0, 1, 2, 3, 4]
    assert shell.result == FINAL


async def test_the_script_goes_on_when_the_gateway_is_away(shell: Shell, gateway: Gateway) -> None:
    await gateway.close()
    assert await shell.run() == 0
    assert shell.result == FINAL
