"""Drives a sweep: ``onnx-lora sweep`` plans and keeps the journal here, and its trials are Ray's tasks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import ray

from .desk import open_desk
from .node import Message, NodeProcess, command

# Times that Ray starts a trial again whose node has died; it goes on from its checkpoint.
RETRIES = 5
# Messages that belong to the result: a retried task must not lose them, nor tell them twice.
FINAL = ("ended", "failed")


def run_trial(task: int, job: Message, cwd: str, desk: Any) -> Message:
    """A task: runs one trial in a Node process. Its result has the trial's last messages, and how it ended."""
    node = NodeProcess([command()], cwd=cwd, env={"ONNX_LORA_WORKER": "trial"})
    node.send(job)
    last: list[Message] = []
    stops = False
    try:
        for message in node.messages():
            if message is not None and message["type"] in FINAL:
                last.append(message)
            elif message is not None and ray.get(desk.report.remote(task, message)) and not stops:
                stops = True
                node.disconnect()
        return {"last": last, **node.ended()}
    finally:
        # Cancelled, or the desk is gone.
        node.disconnect()


def options_of(resources: Mapping[str, float]) -> dict[str, Any]:
    """Ray's options of a task: ``cpus``, ``gpus``, ``memory`` in megabytes, others as the cluster names them."""
    others = {name: amount for name, amount in resources.items() if name not in ("cpus", "gpus", "memory")}
    return {
        "num_cpus": resources.get("cpus", 1),
        "num_gpus": resources.get("gpus", 0),
        "max_retries": RETRIES,
        **({"memory": int(resources["memory"] * 2**20)} if "memory" in resources else {}),
        **({"resources": others} if others else {}),
    }


class SweepDriver:
    """Starts the trials that the command asks for, and brings it their messages."""

    def __init__(self, node: NodeProcess, cwd: str) -> None:
        self._node = node
        self._cwd = cwd
        self._desk = open_desk()
        self._tasks: dict[int, ray.ObjectRef] = {}
        self._begun: set[int] = set()
        self._waiting: list[threading.Thread] = []

    def run(self) -> int:
        """Serves the command to its end. Returns its exit code."""
        forwarding = threading.Thread(target=self._forward)
        forwarding.start()
        try:
            for message in self._node.messages():
                if message is not None:
                    self._obey(message)
            return self._node.process.wait()
        finally:
            # A thread that waits for Ray would end in the middle of Ray's own end.
            for reference in list(self._tasks.values()):
                ray.cancel(reference, force=True)
            self._desk.close.remote()
            for thread in [forwarding, *self._waiting]:
                thread.join()

    def _obey(self, message: Message) -> None:
        number = message["id"]
        match message["type"]:
            case "launch":
                task = ray.remote(run_trial).options(**options_of(message["resources"]), name=message["name"])
                reference = task.remote(number, message["job"], self._cwd, self._desk)
                self._tasks[number] = reference
                waiting = threading.Thread(target=self._await, args=(number, reference))
                waiting.start()
                self._waiting.append(waiting)
            case "stop" if number in self._begun:
                self._desk.stop.remote(number)
            case "stop" | "kill":
                ray.cancel(self._tasks[number], force=True)

    def _forward(self) -> None:
        while news := ray.get(self._desk.news.remote()):
            for number, message in news:
                self._begun.add(number)
                self._node.send({"id": number, "type": "message", "message": message})

    def _await(self, number: int, reference: ray.ObjectRef) -> None:
        try:
            result = ray.get(reference)
        except Exception as error:  # Whatever became of the task, the sweep is to hear of it.
            last = str(error).strip().splitlines() or [type(error).__name__]
            result = {"last": [], "signal": None, "code": None, "stderr": last[-1]}
        for message in result.pop("last"):
            self._node.send({"id": number, "type": "message", "message": message})
        self._node.send({"id": number, "type": "ended", "ended": result})
        del self._tasks[number]


def run(words: Sequence[str]) -> int:
    """Runs ``onnx-lora sweep`` with these words; returns its exit code."""
    program = command()
    ray.init(log_to_driver=False, logging_level="warning")
    node = NodeProcess([program, "sweep", *words], env={"ONNX_LORA_TRIALS": "channel"}, stdout=None, stderr=None)
    # Ray's stop of a job: the sweep has its trials save, and writes what it knows.
    signal.signal(signal.SIGTERM, lambda *_: node.process.terminate())
    try:
        return SweepDriver(node, os.getcwd()).run()
    finally:
        node.disconnect()
        ray.shutdown()
