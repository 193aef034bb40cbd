"""Node programs as child processes, with a channel of JSON lines.

The channel is that of Node's ``child_process.fork``: a socket, whose descriptor is in ``NODE_CHANNEL_FD``. It closes
when this process dies, in whatever way; the programs save and end then.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, IO

Message = dict[str, Any]

# Seconds after which a reader without news has its turn.
TURN = 0.5
# Characters of stderr that are kept.
SAID = 2000


def command() -> str:
    """The path of the onnx-lora command on this node."""
    found = shutil.which(os.environ.get("ONNX_LORA", "onnx-lora"))
    if found is None:
        raise FileNotFoundError(
            f"There is no onnx-lora on the PATH of the node {socket.gethostname()}. Install it on every node, "
            "or set ONNX_LORA to the path of its command."
        )
    return found


class NodeProcess:
    """A Node program with a channel."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdout: int | IO[Any] | None = subprocess.DEVNULL,
        stderr: int | IO[Any] | None = subprocess.PIPE,
        tell: Callable[[str], object] | None = None,
    ) -> None:
        """Starts the program. `tell` takes each line of its output; without it, the end of stderr is kept."""
        ours, theirs = socket.socketpair()
        channel = {"NODE_CHANNEL_FD": str(theirs.fileno()), "NODE_CHANNEL_SERIALIZATION_MODE": "json"}
        try:
            self.process = subprocess.Popen(
                words,
                cwd=cwd,
                env={**os.environ, **(env or {}), **channel},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if tell else stdout,
                stderr=subprocess.STDOUT if tell else stderr,
                # Signals of the terminal and of Ray reach this process alone.
                start_new_session=True,
            )
        finally:
            theirs.close()
        ours.settimeout(TURN)
        self._channel: socket.socket = ours
        self._sending = threading.Lock()
        self._tell = tell
        self._said: deque[str] = deque(maxlen=SAID)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def send(self, message: Message) -> None:
        """Sends a message; in vain if the program has ended."""
        data = json.dumps(message).encode() + b"\n"
        with self._sending:
            try:
                while data:
                    try:
                        data = data[self._channel.send(data) :]
                    except TimeoutError:
                        continue
            except OSError:
                return

    def messages(self) -> Iterator[Message | None]:
        """Messages until the program closes the channel; None where none has come for a turn."""
        buffer = b""
        while True:
            try:
                data = self._channel.recv(1 << 16)
            except TimeoutError:
                yield None
                continue
            except OSError:
                return
            if not data:
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                # Node's own messages have a command.
                if not str(message.get("cmd", "")).startswith("NODE_"):
                    yield message

    def disconnect(self) -> None:
        """Closes the channel: the program saves and ends."""
        self._channel.close()

    def ended(self, timeout: float | None = None) -> Message:
        """Waits for the end: exit code or signal, and the last words on stderr."""
        code = self.process.wait(timeout)
        # A grandchild may keep the pipe open.
        self._listener.join(timeout=10)
        said = "".join(self._said)
        if code < 0:
            return {"signal": signal_name(-code), "code": None, "stderr": said}
        return {"signal": None, "code": code, "stderr": said}

    def _listen(self) -> None:
        for line in self.process.stdout or self.process.stderr or []:
            said = line.decode(errors="replace")
            self._said.extend(said)
            if self._tell:
                self._tell(said.rstrip("\n"))


def signal_name(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
