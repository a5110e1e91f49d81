"""A worker process: calls come in on stdin, answers go out on stdout, one pickle each.

The process belongs to whoever holds the other end of its stdin: it ends when that end closes, so a killed parent
leaves no orphans behind that write into a store which the next run is using.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import queue
import sys
import threading
import traceback
from dataclasses import dataclass
from importlib import import_module
from typing import Any, BinaryIO

from datadriver.errors import DatadriverError
from datadriver.fleet.failures import deliberate


@dataclass(frozen=True)
class Call:
    """A function to call in a worker, as `package.module:function`, and its one argument."""

    function: str
    argument: Any


@dataclass(frozen=True)
class Answer:
    """What came of a call: a value, or an error; `trace` is the traceback in the worker, for -v."""

    value: Any = None
    error: DatadriverError | None = None
    trace: str = ""


def main() -> None:
    """Answer calls until stdin closes."""
    answers = os.fdopen(os.dup(1), "wb")
    # From here on whatever prints, Python or C, prints to stderr: stdout carries pickles.
    os.dup2(2, 1)
    faulthandler.enable()
    calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, calls), daemon=True).start()
    while True:
        pickle.dump(answer(calls.get()), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


def answer(call: Call) -> Answer:
    """Do one call; an exception becomes an answer, too."""
    try:
        module, _, name = call.function.partition(":")
        return _checked(Answer(getattr(import_module(module), name)(call.argument)))
    except Exception as error:
        trace = traceback.format_exc()
        known = deliberate(error)
        text = f"a bug in datadriver: {type(error).__name__}: {error} ({_place(error)}); please report it"
        return Answer(error=known or DatadriverError(text), trace=trace)


def _checked(value: Answer) -> Answer:
    pickle.dumps(value.value, protocol=pickle.HIGHEST_PROTOCOL)
    return value


def _listen(stream: BinaryIO, calls: queue.SimpleQueue[Call]) -> None:
    """Read calls as they come; the end of the stream is the end of the process, even in the middle of a fit."""
    while True:
        try:
            calls.put(pickle.load(stream))  # noqa: S301 - from our own parent, over a pipe
        except (EOFError, OSError):
            os._exit(0)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}" if frames else "unknown place"  # noqa: PTH119
