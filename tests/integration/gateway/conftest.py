from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.integration.gateway.memory_desk import MemoryDesk

from tuning_operator.engine.facts import Role
from tuning_operator.gateway import AttemptRef, Gateway, LocalTokens, TrialCard

CARD = TrialCard(
    role=Role.SEARCH,
    parameters={"learning_rate": 0.003, "batch_size": 64, "optimizer": "sgd"},
    seed=11,
    metric="val_accuracy",
    direction="maximize",
)


@pytest.fixture
def ref() -> AttemptRef:
    return AttemptRef(study="digits", trial=3, attempt=1)


@pytest.fixture
async def desk(ref: AttemptRef) -> MemoryDesk:
    return MemoryDesk(cards={ref: CARD})


@pytest.fixture
def tokens() -> LocalTokens:
    return LocalTokens()


@pytest.fixture
async def gateway(desk: MemoryDesk, tokens: LocalTokens) -> AsyncIterator[Gateway]:
    running = Gateway(desk, tokens)
    await running.start()
    yield running
    await running.close()


@pytest.fixture
async def http(gateway: Gateway, tokens: LocalTokens, ref: AttemptRef) -> AsyncIterator[aiohttp.ClientSession]:
    """Speaks to the gateway as the attempt `ref`."""
    headers = {"Authorization": f"Bearer {tokens.issue(ref)}"}
    async with aiohttp.ClientSession(gateway.endpoint, headers=headers) as session:
        yield session
