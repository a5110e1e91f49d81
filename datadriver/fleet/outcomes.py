"""What became of many: how a command ends when some assets failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from datadriver.errors import (
    ConfigError,
    DatadriverError,
    DataError,
    PartialFailure,
    UnavailableError,
    UseCaseError,
)

_KINDS: Mapping[int, type[DatadriverError]] = {
    kind.exit_code: kind for kind in (ConfigError, DataError, UseCaseError, UnavailableError)
}


@dataclass(frozen=True)
class Miss:
    """One thing that did not come out: an instance or an asset, and why."""

    name: str
    reason: str
    exit_code: int

    def __str__(self) -> str:
        """Say both in one line; a reason that starts with the name, or with its asset, does not say it again."""
        for known in (self.name, self.name.rpartition("/")[0]):
            if known and self.reason.startswith(f"{known}, "):
                return f"{self.name}, {self.reason.removeprefix(f'{known}, ')}"
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True)
class Group:
    """Misses that share a reason."""

    reason: str
    exit_code: int
    names: tuple[str, ...]


def failure(misses: Sequence[Miss], *, of: int, what: str) -> DatadriverError | None:
    """Return the error that a command ends with: none, the one kind that struck all, or `PartialFailure`."""
    if not misses:
        return None
    codes = {miss.exit_code for miss in misses}
    if len(misses) == of and len(codes) == 1:
        kind = _KINDS.get(codes.pop(), DatadriverError)
        first = misses[0]
        more = f" (and {of - 1} more {what})" if of > 1 else ""
        return kind(f"{first}{more}")
    return PartialFailure(f"{len(misses)} of {of} {what} failed, the rest are done")


def grouped(misses: Iterable[Miss]) -> tuple[Group, ...]:
    """Put misses together that have the same reason but for their own name, most frequent first."""
    names: dict[tuple[str, int], list[str]] = {}
    for miss in misses:
        key = miss.reason.replace(miss.name, "…"), miss.exit_code
        names.setdefault(key, []).append(miss.name)
    sizes = Counter({key: len(members) for key, members in names.items()})
    return tuple(Group(reason, code, tuple(names[reason, code])) for (reason, code), _ in sizes.most_common())
