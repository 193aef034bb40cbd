"""``python3 -m onnx_lora_cluster sweep …``: the entry of a Ray job."""

from __future__ import annotations

import sys


def main(words: list[str]) -> int:
    """Runs what the words name; returns the exit code."""
    name, *rest = words or [""]
    try:
        match name:
            case "sweep":
                from . import sweep

                return sweep.run(rest)
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f'error: There is no "{name}". Name sweep, and the words of onnx-lora sweep after it.', file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
