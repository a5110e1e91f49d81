"""A worker process: calls come in on stdin as pickles in a pickle, answers go out on stdout as pickles.

The process belongs to whoever holds the other end of its stdin: it ends when that end closes, so a killed parent
leaves no orphans behind that write into a store which the next run is using.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, BinaryIO

from datadriver.data.looks import one_look
from datadriver.errors import DatadriverError
from datadriver.fleet.failures import explained

# What libraries reserve without using it: Arrow alone asks for a gigabyte of addresses when it is imported.
_RESERVED = 2 * 1024**3


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


def main(memory: int | None = None) -> None:
    """Answer calls until stdin closes; a single request for more than `memory` bytes is refused."""
    answers = os.fdopen(os.dup(1), "wb")
    # From here on whatever prints, Python or C, prints to stderr: stdout carries pickles.
    os.dup2(2, 1)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=False)  # the parent asks where we are before it ends us
    if memory is not None:
        _refuse_more_than(memory)
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, calls), daemon=True).start()
    with one_look():  # a worker lives as long as its command
        while True:
            answers.write(_pickled(answer(calls.get())))
            answers.flush()


def answer(data: bytes) -> Answer:
    """Do one call; an exception becomes an answer, too, and so does a call that cannot be understood."""
    try:
        call: Call = pickle.loads(data)  # noqa: S301 - from our own parent, over a pipe
    except Exception as error:
        return _broken(error)
    return do(call)


def do(call: Call) -> Answer:
    """Do a call in this process."""
    try:
        module, _, name = call.function.partition(":")
        return Answer(getattr(import_module(module), name)(call.argument))
    except Exception as error:
        return _broken(error)


def _broken(error: Exception) -> Answer:
    return Answer(error=explained(error), trace=traceback.format_exc())


def _pickled(answer: Answer) -> bytes:
    try:
        return pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return pickle.dumps(_broken(error), protocol=pickle.HIGHEST_PROTOCOL)


def _refuse_more_than(memory: int) -> None:
    """Turn a huge allocation into a MemoryError with a traceback; growth in small steps the parent watches."""
    with suppress(ImportError, ValueError, OSError):  # not on this system
        import resource  # noqa: PLC0415 - not on every system

        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (memory + _RESERVED, hard))


def _listen(stream: BinaryIO, calls: queue.SimpleQueue[bytes]) -> None:
    """Read calls as they come; the end of the stream is the end of the process, even in the middle of a fit."""
    while True:
        try:
            calls.put(pickle.load(stream))  # noqa: S301 - from our own parent, over a pipe
        except (EOFError, OSError):
            os._exit(0)
