"""What is due and why: a cheap fingerprint of everything behind an instance, compared with that of its last outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from datadriver.config.code import code_digest
from datadriver.config.fleet import Asset, Instance
from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.data.fingerprint import fingerprint
from datadriver.errors import DataError, UnavailableError
from datadriver.tracking.monitor_records import RetrainRequest
from datadriver.tracking.records import Key, Outcome

_PARTS = ("data", "code", "config", "contract", "until")
_UNKNOWN = "?"


@dataclass(frozen=True)
class Due:
    """An instance, whether it is due and why (or why not), and its due fingerprint as of now."""

    instance: Instance
    due: bool
    reason: str
    fingerprint: str


def plan(  # noqa: PLR0913 - the options of one command
    usecase: UseCase,
    instances: Iterable[Instance],
    last: Mapping[Key, Outcome],
    *,
    root: Path,
    force: bool = False,
    until: str | None = None,
    asked: Mapping[Key, Sequence[RetrainRequest]] | None = None,
) -> tuple[Due, ...]:
    """Decide for each instance whether it is due, reading no data.

    Args:
        usecase: the use case before overrides; members of a pooled unit are resolved one by one.
        instances: the instances that were asked for.
        last: the newest outcome by instance, of those that carry a fingerprint.
        root: folder of the use case.
        force: everything is due.
        until: end of the data that count, as asked for; another end is a reason to train.
        asked: what monitoring asked for and no outcome has answered yet, oldest first.
    """
    fingerprints = Fingerprints(usecase, root, until)
    keys = ((instance, Key(instance.unit.key, instance.model)) for instance in instances)
    return tuple(
        _judge(instance, fingerprints.of(instance), last.get(key), (asked or {}).get(key, ()), force=force)
        for instance, key in keys
    )


def _judge(
    instance: Instance, fingerprint: str, last: Outcome | None, asked: Sequence[RetrainRequest], *, force: bool
) -> Due:
    reason = _why_due(fingerprint, last, asked, force=force)
    if reason is not None:
        return Due(instance, True, reason, fingerprint)
    if last is not None and last.state == "rejected":
        return Due(instance, False, f"rejected, and nothing has changed since: {last.reason}", fingerprint)
    return Due(instance, False, "nothing has changed", fingerprint)


def _why_due(fingerprint: str, last: Outcome | None, asked: Sequence[RetrainRequest], *, force: bool) -> str | None:
    if force:
        return "forced"
    if last is None:
        return "new"
    if asked:
        more = f" (and {len(asked) - 1} more)" if len(asked) > 1 else ""
        return f"asked by monitoring: {asked[0].reason}{more}"
    if changed := _changed(last.fingerprint, fingerprint) if last.fingerprint else ():
        return " and ".join(changed) + " changed"
    return f"failed last time: {last.reason}" if last.state == "failed" else None


def _changed(before: str, now: str) -> tuple[str, ...]:
    """Name the parts in which two fingerprints differ; a part that could not be looked at always differs.

    >>> _changed("data:1;code:2", "data:1;code:3")
    ('code',)
    """
    old, new = (dict(part.split(":", 1) for part in text.split(";")) for text in (before, now))
    return tuple(part for part in _PARTS if old.get(part) != new.get(part) or new.get(part) == _UNKNOWN)


class Fingerprints:
    """Due fingerprints of instances; what assets and instances share is looked at once."""

    def __init__(self, usecase: UseCase, root: Path, until: str | None = None) -> None:
        self._usecase = usecase
        self._root = root
        self._until = until or "end"
        self._code = code_digest(root, usecase.name)[:16]
        self._data: dict[str, str] = {}
        self._contract = cache(self._contract_of)

    def of(self, instance: Instance) -> str:
        """Return the fingerprint: `data:...;code:...;config:...;contract:...;until:...`."""
        data = [self._data_of(asset) for asset in instance.unit.assets]
        parts = {
            "data": _UNKNOWN if _UNKNOWN in data else data[0] if len(data) == 1 else _short(data),
            "code": self._code,
            "config": config_digest(instance),
            "contract": self._contract(instance.usecase.contract.suite),
            "until": self._until,
        }
        return ";".join(f"{name}:{parts[name]}" for name in _PARTS)

    def _data_of(self, asset: Asset) -> str:
        if asset.id not in self._data:
            try:
                found = _short([fingerprint(resolve(self._usecase, asset), asset, self._root)])
            except (DataError, UnavailableError, OSError):
                found = _UNKNOWN  # the job will meet the same trouble and say what it is
            self._data[asset.id] = found
        return self._data[asset.id]

    def _contract_of(self, suite: str | None) -> str:
        if suite is None:
            return "none"
        try:
            return hashlib.sha256((self._root / suite).read_bytes()).hexdigest()[:16]
        except OSError:
            return _UNKNOWN


def config_digest(instance: Instance) -> str:
    """Digest what the configuration says about the fit of an instance: not who approves, nor where things are kept."""
    usecase = instance.usecase
    return _short(
        [
            instance.spec.model_dump(mode="json", exclude={"promote": {"approval"}}),
            usecase.data.model_dump(mode="json", by_alias=True),
            usecase.contract.model_dump(mode="json"),
            usecase.seed,
            [[asset.id, dict(asset.attributes)] for asset in instance.unit.assets],
        ]
    )


def _short(value: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
