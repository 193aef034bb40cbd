"""Drives one training on several machines: a Node process for each worker, and an actor that averages gradients."""

from __future__ import annotations

import math
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from .desk import open_desk
from .mean import Means, Part
from .node import Message, NodeProcess, command

# Times that Ray replaces a worker that has died.
REPLACED = 100
# Seconds until the driver says that the cluster has no room.
PATIENCE = 30


class PartDied(Exception):
    """A worker's Node process was killed; Ray starts the task again."""


def number(text: str) -> float:
    """A number as JavaScript writes it."""
    return float(text)


def text(value: float) -> str:
    """A number as JavaScript reads it."""
    return repr(value) if math.isfinite(value) else "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"


def run_part(rank: int, workers: int, argv: Sequence[str], cwd: str, threads: int, means: Any, desk: Any) -> Message:
    """A task: one worker of the training, to its end."""
    place = ray.get(means.join.remote(rank))
    told = f"worker {rank} runs on {socket.gethostname()}"
    if place["again"]:
        desk.report.remote(rank, {"line": f"{told}, in place of one that has died; it goes on from step {place['from']}"})
    with tempfile.TemporaryDirectory(prefix="onnx-lora-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        node = NodeProcess(
            [command()],
            cwd=cwd,
            env={"ONNX_LORA_WORKER": "part", "ONNX_LORA_THREADS": str(threads)},
            # The first one's words are the job's.
            tell=None if rank > 0 else lambda line: ray.get(desk.report.remote(rank, {"line": line})),
        )
        job = {"argv": list(argv), "rank": rank, "workers": workers, "folder": folder, **place}
        node.send(job)
        try:
            for message in node.messages():
                if message is not None:
                    serve(message, rank, Path(folder), node, means)
            ended = node.ended()
        finally:
            node.disconnect()
    if ended["signal"] is not None:
        raise PartDied(f"worker {rank} was ended by {ended['signal']}")
    return ended


def serve(message: Message, rank: int, folder: Path, node: NodeProcess, means: Any) -> None:
    """Answers a message of a worker's Node process."""
    match message["type"]:
        case "begun" if rank == 0:
            ray.get(means.begun.remote(message["step"]))
        case "saved" if rank == 0:
            ray.get(means.saved.remote(message["step"]))
        case "give":
            step = message["step"]
            file = folder / f"give-{step}"
            numbers = np.fromfile(file, np.float32)
            file.unlink()
            given = message["parts"]
            parts = {
                each["batch"]: Part(number(each["loss"]), each["weight"], each["nothing"], message["layout"], own)
                for each, own in zip(given, numbers.reshape(len(given), -1) if given else [])
            }
            mean, reference = ray.get(means.give.remote(rank, step, parts))
            ray.get(reference).tofile(folder / f"take-{step}")
            node.send(
                {
                    "type": "take",
                    "step": step,
                    "loss": text(mean.loss),
                    "weight": mean.weight,
                    "nothing": mean.nothing,
                    "layout": mean.layout,
                }
            )


def print_news(desk: Any) -> None:
    """Prints lines of workers in the job's log."""
    while news := ray.get(desk.news.remote()):
        for _, message in news:
            print(message["line"], file=sys.stderr, flush=True)


def run(argv: Sequence[str], workers: int, batches: int, threads: int) -> int:
    """Trains with so many workers; returns the exit code of the first."""
    command()
    ray.init(log_to_driver=False, logging_level="warning")
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    means = ray.remote(Means).options(num_cpus=0, scheduling_strategy=here, max_concurrency=1000).remote(batches)
    desk = open_desk()
    printing = threading.Thread(target=print_news, args=(desk,))
    printing.start()
    group = placement_group([{"CPU": threads}] * workers, strategy="SPREAD")
    try:
        while not group.wait(PATIENCE):
            print(f"waiting for room: {workers} workers ask for {threads} CPU each", file=sys.stderr, flush=True)
        tasks = {
            ray.remote(run_part)
            .options(
                name=f"worker {rank}",
                num_cpus=threads,
                max_retries=REPLACED,
                retry_exceptions=[PartDied],
                scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank),
            )
            .remote(rank, workers, argv, os.getcwd(), threads, means, desk): rank
            for rank in range(workers)
        }
        return follow(tasks)
    finally:
        remove_placement_group(group)
        desk.close.remote()
        printing.join()
        ray.shutdown()


def follow(tasks: dict[ray.ObjectRef, int]) -> int:
    """Waits for the first worker's end, or another's failure; the others end with the job."""
    left = list(tasks)
    while True:
        [done], left = ray.wait(left)
        rank = tasks[done]
        try:
            ended = ray.get(done)
        except Exception as error:  # Whatever became of the task, the user is to hear of it.
            print(f"error: worker {rank}: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
            return 1
        if rank == 0:
            return ended["code"]
        if ended["code"] != 0:
            print(f"worker {rank}: {ended['stderr'].strip()}", file=sys.stderr)
            return ended["code"]
