"""Where tasks report, and hear whether to stop."""

from __future__ import annotations

import asyncio
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


class Desk:
    """Collects reports of tasks for their driver; asynchronous, so that the driver may wait for news."""

    def __init__(self) -> None:
        self._news: list[tuple[int, dict[str, Any]]] = []
        self._is_news = asyncio.Event()
        self._stopped: set[int] = set()
        self._is_closed = False

    async def report(self, task: int, message: dict[str, Any]) -> bool:
        """Takes a message of a task. Answers whether the task is to stop."""
        self._news.append((task, message))
        self._is_news.set()
        return task in self._stopped

    async def news(self) -> list[tuple[int, dict[str, Any]]]:
        """Messages since the last call; waits for the first. None come after the close."""
        await self._is_news.wait()
        if not self._is_closed:
            self._is_news.clear()
        news, self._news = self._news, []
        return news

    async def close(self) -> None:
        """Ends the waiting for news."""
        self._is_closed = True
        self._is_news.set()

    async def stop(self, task: int) -> None:
        """Has a task end once it reports again."""
        self._stopped.add(task)


def open_desk() -> Any:
    """A desk on the driver's node, which asks for no processor."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here, max_concurrency=1000).remote()
