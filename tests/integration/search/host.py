"""A main process for tests: asks once, prints the pids of its search processes, and never ends."""

from __future__ import annotations

import asyncio
import multiprocessing

from tests.unit.search.spaces import problem

from tuning_operator.search.pool import SearchPool


async def main() -> None:
    pool = SearchPool(processes=2)
    for number in range(8):
        await pool.ask(problem(key=f"study-{number}"), [], 0)
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
