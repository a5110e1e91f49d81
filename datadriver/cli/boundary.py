"""Run one command line: every way it can end becomes an exit code and a message that helps."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType

import click

from datadriver import __version__, failpoints
from datadriver.cli.output import Output
from datadriver.errors import ConfigError, DatadriverError
from datadriver.fleet.failures import full_disk

BROKEN_PIPE = 141
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class _Ended(KeyboardInterrupt):
    """Somebody asked the process to end; by which signal is its argument."""


def run(arguments: Sequence[str], command: click.Command | None = None) -> int:
    """Run a command line and return its exit code; nothing but a bug of ours shows a traceback unasked.

    Args:
        arguments: what follows the name of the program.
        command: what they are for; default: the commands of datadriver.
    """
    output = Output(json=_asks("--json", arguments), verbosity=_verbosity(arguments))
    try:
        with _only_documents_on_stdout(output), _quiet_libraries(output), _ending_in_order():
            return _invoke(arguments, output, command or _commands())
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _commands() -> click.Command:
    from datadriver.cli.app import app

    return app


def _invoke(arguments: Sequence[str], output: Output, command: click.Command) -> int:
    try:
        failpoints.armed()  # a misspelt one must not pass for a run that nothing could kill
        # Not `command.main`, which has its own ideas about broken pipes and interrupts.
        with command.make_context("datadriver", list(arguments), obj=output) as context:
            code = command.invoke(context)
        output.stdout.flush()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, click.Abort) as error:
        number = error.args[0] if isinstance(error, _Ended) else signal.SIGINT
        how = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        return _end(output, f"{how}; what was finished before is kept", 128 + number)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        return _usage(error, output)
    except DatadriverError as error:
        return _deliberate(error, output)
    except BrokenPipeError:
        raise
    except Exception as error:
        full = full_disk(error)
        return _deliberate(full, output, cause=error) if full else _bug(error, output)


def _deliberate(error: DatadriverError, output: Output, *, cause: BaseException | None = None) -> int:
    problems = error.problems if isinstance(error, ConfigError) else (error.message,)
    if output.verbose:
        traceback.print_exception(cause or error, file=sys.stderr)
    headline = problems[0] if len(problems) == 1 else f"{len(problems)} problems"
    listed = () if len(problems) == 1 else problems
    return _end(output, headline, error.exit_code, problems=problems, listed=listed)


def _usage(error: click.ClickException, output: Output) -> int:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    hint = f"see {context.command_path} --help" if context else "see datadriver --help"
    return _end(output, message, ConfigError.exit_code, listed=(hint,), problems=(message,))


def _bug(error: Exception, output: Output) -> int:
    traceback.print_exc(file=sys.stderr)
    message = f"a bug in datadriver {__version__}: {type(error).__name__}: {error}"
    hint = "please report it with the lines above, the command and `datadriver --version`: see CONTRIBUTING.md"
    return _end(output, message, DatadriverError.exit_code, listed=(hint,), problems=(message,))


def _end(output: Output, message: str, code: int, *, problems: Sequence[str] = (), listed: Sequence[str] = ()) -> int:
    """Say how it ended: as JSON on stdout or as lines on stderr."""
    if output.json:
        output.document({"error": {"message": message, "problems": list(problems) or [message], "exit_code": code}})
        output.stdout.flush()
        return code
    click.echo(f"error: {message}", err=True)
    for line in listed:
        click.echo("  " + line.replace("\n", "\n  "), err=True)
    return code


def _asks(flag: str, arguments: Sequence[str]) -> bool:
    """Look for a flag before click does, because a line that click rejects must be answered in JSON too."""
    return flag in list(arguments)[: list(arguments).index("--") if "--" in arguments else None]


def _verbosity(arguments: Sequence[str]) -> int:
    loud = sum(argument.count("v") for argument in arguments if argument in {"-v", "-vv"})
    return loud + arguments.count("--verbose") or -min(1, arguments.count("-q") + arguments.count("--quiet"))


@contextlib.contextmanager
def _only_documents_on_stdout(output: Output) -> Iterator[None]:
    """Send whatever libraries print to stderr while the answer is a JSON document."""
    if not output.json:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let `kill`, `docker stop` and a closed terminal end a command the way Ctrl-C does: in order, and once."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
        for other in before:  # a second one must not disturb what the first one has started, unless it is Ctrl-C
            signal.signal(other, signal.default_int_handler if other == signal.SIGINT else signal.SIG_IGN)
        raise _Ended(number)

    usual = {signal.SIG_DFL, signal.default_int_handler}  # under nohup, for one, SIGHUP is ignored and stays so
    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in _ENDING if here}
    before = {number: handler for number, handler in before.items() if handler in usual}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _quiet_libraries(output: Output) -> Iterator[None]:
    """Keep warnings and log lines of libraries for -v: they speak of their own code, not of the user's data."""
    with warnings.catch_warnings():
        if not output.verbose:
            warnings.simplefilter("ignore")
        logging.basicConfig(level=logging.INFO if output.verbose else logging.ERROR, format="%(name)s: %(message)s")
        yield
