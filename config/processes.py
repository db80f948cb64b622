"""Several programs that live and die together."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
POLL_SECONDS = 0.2
STOP_SECONDS = 15


@dataclass(frozen=True)
class Program:
    name: str
    arguments: Sequence[str]


@dataclass(frozen=True)
class Ending:
    """How a family of programs ended: `crashed` names the one that stopped without being asked."""

    crashed: str = ""
    exit_code: int = 0


def run_together(
    programs: Sequence[Program],
    environment: Mapping[str, str],
    *,
    stop_seconds: float = STOP_SECONDS,
) -> Ending:
    """Run `programs` until SIGTERM or SIGINT arrives or one of them ends by itself.

    Then all are asked to stop, and made to after `stop_seconds`: give programs that run others
    this way more time than those have. Nothing is started again: that is
    the work of whatever runs this process, which sees the exit code. Must be called from the main
    thread, whose signal handlers are put back afterwards.
    """
    is_stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        is_stopping.set()

    with ExitStack() as stack:
        for number in STOP_SIGNALS:
            stack.callback(signal.signal, number, signal.signal(number, stop))
        running: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(stop_all, running, stop_seconds)
        for program in programs:
            # A group of its own: Ctrl-C reaches this process alone, which asks the others.
            running[program.name] = subprocess.Popen(  # noqa: S603 - our own programs
                program.arguments, env=environment, process_group=0
            )
        while not is_stopping.wait(POLL_SECONDS):
            for name, process in running.items():
                if process.poll() is not None:
                    return Ending(crashed=name, exit_code=process.returncode)
    return Ending()


def stop_all(running: Mapping[str, subprocess.Popen[bytes]], stop_seconds: float) -> None:
    for process in running.values():
        process.terminate()
    deadline = time.monotonic() + stop_seconds
    for process in running.values():
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0, deadline - time.monotonic()))
        # Whatever is left of its family: a program that was killed leaves its children behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
