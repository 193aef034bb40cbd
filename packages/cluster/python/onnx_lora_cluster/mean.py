"""The mean of a step's gradients, in the order of its batches: to the last digit ``GradientMean`` of the SDK."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray

Layout = list[list[Any]]


@dataclass(frozen=True)
class Part:
    """Loss and gradients of a batch, or of a step."""

    loss: float
    weight: float
    nothing: str | None
    # Names and lengths of the tensors, and their numbers one after the other.
    layout: Layout
    numbers: Any


def mean_of(parts: list[Part]) -> Part:
    """The running mean of the parts by their weights; one without weight is left out."""
    mean = Part(loss=0.0, weight=0.0, nothing=None, layout=[], numbers=np.zeros(0, np.float32))
    left = None
    for part in parts:
        if part.weight == 0:
            left = left or part.nothing
            continue
        numbers = mean.numbers if mean.weight > 0 else np.zeros_like(part.numbers)
        weight = mean.weight + part.weight
        share = part.weight / weight
        # As JavaScript computes with float32 arrays: in float64, rounded once.
        wide = numbers.astype(np.float64)
        mean = Part(
            loss=mean.loss + share * (part.loss - mean.loss),
            weight=weight,
            nothing=mean.nothing or part.nothing,
            layout=part.layout,
            numbers=(wide + share * (part.numbers.astype(np.float64) - wide)).astype(np.float32),
        )
    return mean if mean.weight > 0 else replace(mean, loss=float("nan"), nothing=left)


class Differs(Exception):
    """A worker trains something else than the others."""


class Means:
    """An actor: takes the workers' batches, and gives each the mean of a step once all are there.

    Means since the last checkpoint are kept in the object store, so that a worker that takes another's place goes on
    from there without computing.
    """

    def __init__(self, batches: int) -> None:
        self._batches = batches
        self._steps: dict[int, dict[int, Part]] = {}
        self._means: dict[int, tuple[Part, Any]] = {}
        self._come: dict[int, asyncio.Event] = {}
        self._layout: Layout | None = None
        self._first_step: int | None = None
        self._has_begun = asyncio.Event()
        self._next = 0
        self._saved = False
        self._joined: set[int] = set()

    async def join(self, rank: int) -> dict[str, Any]:
        """Where a worker begins; all but the first wait for that."""
        again = rank in self._joined
        self._joined.add(rank)
        if rank > 0:
            await self._has_begun.wait()
        resume = self._saved or (rank > 0 and (self._first_step or 0) > 0)
        return {"from": self._next, "resume": resume, "again": again}

    async def begun(self, step: int) -> None:
        """The first worker begins at a step."""
        self._first_step = step if self._first_step is None else self._first_step
        self._has_begun.set()

    async def saved(self, step: int) -> None:
        """The first worker has written a checkpoint."""
        self._saved = True
        for old in [each for each in self._means if each < step]:
            del self._means[old], self._come[old]

    async def give(self, rank: int, step: int, parts: dict[int, Part]) -> tuple[Part, Any]:
        """Takes a worker's batches of a step. Answers with the step's mean, its numbers as a reference."""
        come = self._come.setdefault(step, asyncio.Event())
        if step in self._means:
            return self._means[step]
        if step < self._next:
            raise Differs(f"Worker {rank} begins at step {step}, before the last checkpoint of worker 0.")
        given = self._steps.setdefault(step, {})
        for batch, part in parts.items():
            self._layout = self._layout or part.layout
            if part.layout != self._layout:
                raise Differs(f"Worker {rank} trains other tensors than worker 0: {part.layout[:3]} …")
            given[batch] = part
        if len(given) == self._batches and step not in self._means:
            mean = mean_of([given[batch] for batch in range(self._batches)])
            self._means[step] = (replace(mean, numbers=None), ray.put(mean.numbers))
            del self._steps[step]
            self._next = step + 1
            come.set()
        await come.wait()
        return self._means[step]
