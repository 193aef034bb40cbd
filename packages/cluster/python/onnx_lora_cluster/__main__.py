"""The entry of a Ray job: ``python3 -m onnx_lora_cluster [--workers N --batches N --cpus N] COMMAND …``."""

from __future__ import annotations

import argparse
import sys


def main(words: list[str]) -> int:
    """Runs the command that the words name; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m onnx_lora_cluster", description="Runs onnx-lora as Ray's tasks.")
    parser.add_argument("--workers", type=int, default=1, help="train: processes of one training")
    parser.add_argument("--batches", type=int, default=1, help="train: batches of a step, which the workers share")
    parser.add_argument("--cpus", type=int, default=1, help="train: processors of a worker")
    parser.add_argument("command", choices=["sweep", "train"])
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="words of the command")
    given = parser.parse_args(words)
    try:
        if given.command == "sweep":
            from . import sweep

            return sweep.run(given.rest)
        from . import train

        return train.run(["train", *given.rest], given.workers, given.batches, given.cpus)
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
