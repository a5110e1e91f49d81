"""Every error that datadriver raises on purpose, and the exit code that each one means.

    DatadriverError                 1  a bug in datadriver
    ├── ConfigError                 2  usecase.yaml, the fleet table or the command line is wrong
    ├── MissingExtraError           2  an optional dependency is not installed
    ├── TooLargeError               2  a request to a serving image has more rows than it takes
    ├── DataError                   3  the data cannot be used as it is
    │   ├── ContractBreach          3  the contract's verdict is "reject"
    │   ├── BadRequestError         3  what was sent to be scored cannot be understood
    │   └── UntrustedModelError     3  a stored model is not what was recorded, or holds unknown types
    ├── UseCaseError                4  a function of the use case raised or returned the wrong thing
    ├── UnavailableError            5  something outside did not answer; a retry may help
    │   └── NotNowError             5  a registry is busy, and says so
    └── PartialFailure              6  some assets failed, the rest are done

An error is a sentence: what failed, on which asset and step, what was received and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import ClassVar


class DatadriverError(Exception):
    """Base of all deliberate errors; `exit_code` is what the command line returns for it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)


def _rebuild(kind: type[DatadriverError], message: str, state: dict[str, object]) -> DatadriverError:
    """Restore an error that crossed a process boundary, whatever its constructor takes."""
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class ConfigError(DatadriverError):
    """The configuration is wrong; `problems` holds every mistake found, one sentence each."""

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class DataError(DatadriverError):
    """The data of one asset cannot be used as it is: no rows, too few events, a missing column."""

    exit_code = 3


class ContractBreach(DataError):  # noqa: N818 - the word of the contract
    """The contract's verdict on an asset's sensor frame is `reject`."""


class UntrustedModelError(DataError):
    """A stored model was refused: other bytes than were recorded, or a type that nobody vouched for."""


class UseCaseError(DatadriverError):
    """A function of the use case raised, or returned something of the wrong shape or type."""

    exit_code = 4


class UnavailableError(DatadriverError):
    """A server, a disk or a file system did not do its part; trying again later may work."""

    exit_code = 5


class MissingExtraError(DatadriverError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    exit_code = 2

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the extra `{extra}`: install it with pip install 'datadriver[{extra}]'")


class PartialFailure(DatadriverError):  # noqa: N818 - not all is lost
    """Some assets failed and are listed in the output; everything else is done."""

    exit_code = 6


def looks_like(word: str, known: Iterable[str]) -> list[str]:
    """Return the known words that look most like `word`, at most two.

    >>> looks_like("no", ["NO", "GB"])
    ['NO']
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, n=2, cutoff=0.6)
    return close or [name for name in names if name.casefold() == word.casefold()][:2]


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest the known words that look most like `word`, as the tail of an error message.

    >>> nearest("modles", ["models", "fleet"])
    "; did you mean 'models'?"
    >>> nearest("xyzzy", ["models", "fleet"])
    "; known: 'fleet', 'models'"
    """
    names = sorted(set(known))
    close = looks_like(word, names)
    if close:
        return "; did you mean " + " or ".join(repr(name) for name in close) + "?"
    if not names:
        return ""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return "; known: " + ", ".join(repr(name) for name in names[:8]) + more
