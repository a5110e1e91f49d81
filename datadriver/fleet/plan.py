"""What is due and why: a cheap fingerprint of everything behind an instance, compared with that of its last outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from datadriver.config.code import code_digest
from datadriver.config.fleet import Asset, Instance
from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.data.fingerprint import fingerprint
from datadriver.data.looks import one_look
from datadriver.errors import DataError, UnavailableError
from datadriver.tracking.monitor_records import RetrainRequest
from datadriver.tracking.records import Key, Outcome

_PARTS = ("data", "code", "config", "contract", "until")
_UNKNOWN = "?"

MOST_TRIES = 3
"""So often is an instance tried that fails in the use case's code while neither code nor data nor settings change."""


@dataclass(frozen=True)
class Due:
    """An instance, whether it is due and why (or why not), its due fingerprint as of now, and its newest outcome."""

    instance: Instance
    due: bool
    reason: str
    fingerprint: str
    last: Outcome | None = field(default=None, compare=False)

    @property
    def key(self) -> Key:
        """What names the instance in the ledger."""
        return Key(self.instance.unit.key, self.instance.model)


def plan(  # noqa: PLR0913 - the options of one command
    usecase: UseCase,
    instances: Iterable[Instance],
    last: Mapping[Key, Outcome],
    *,
    root: Path,
    force: bool = False,
    until: str | None = None,
    asked: Mapping[Key, Sequence[RetrainRequest]] | None = None,
    verify: bool = False,
    tries: Mapping[Key, int] | None = None,
) -> tuple[Due, ...]:
    """Decide for each instance whether it is due, reading no data but files of many assets that have changed.

    Args:
        usecase: the use case before overrides; members of a pooled unit are resolved one by one.
        instances: the instances that were asked for.
        last: the newest outcome by instance, of those that carry a fingerprint.
        root: folder of the use case.
        force: everything is due.
        until: end of the data that count, as asked for; another end is a reason to train.
        asked: what monitoring asked for and no outcome has answered yet, oldest first.
        verify: the data of what is not due are to be read, too: what is the same then is not fitted again.
        tries: how often each instance failed in the use case's code with the fingerprint of its last outcome.
    """
    fingerprints = Fingerprints(usecase, root, until)
    keys = ((instance, Key(instance.unit.key, instance.model)) for instance in instances)
    with one_look():
        return tuple(
            _verified(due) if verify and not due.due else due
            for instance, key in keys
            for due in [
                _judge(
                    instance,
                    fingerprints.of(instance),
                    last.get(key),
                    (asked or {}).get(key, ()),
                    force=force,
                    tries=(tries or {}).get(key, 0),
                )
            ]
        )


def _verified(due: Due) -> Due:
    return replace(due, due=True, reason="to be verified")


def _judge(  # noqa: PLR0913 - all that may make an instance due
    instance: Instance,
    fingerprint: str,
    last: Outcome | None,
    asked: Sequence[RetrainRequest],
    *,
    force: bool,
    tries: int,
) -> Due:
    reason = _why_due(fingerprint, last, asked, force=force)
    if last is not None and reason == _again(last) and tries >= MOST_TRIES:
        given_up = f"failed {tries} times, and nothing has changed since (--force tries again): {last.reason}"
        return Due(instance, False, given_up, fingerprint, last)
    if reason is not None:
        return Due(instance, True, reason, fingerprint, last)
    if last is not None and last.state == "rejected":
        return Due(instance, False, f"rejected, and nothing has changed since: {last.reason}", fingerprint, last)
    return Due(instance, False, "nothing has changed", fingerprint, last)


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
    return _again(last) if last.state == "failed" else None


def _again(last: Outcome) -> str:
    return f"failed last time: {last.reason}"


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
        self._settings: dict[tuple[int, int], tuple[Instance, str]] = {}

    def of(self, instance: Instance) -> str:
        """Return the fingerprint: `data:...;code:...;config:...;contract:...;until:...`."""
        data = [self._data_of(asset) for asset in instance.unit.assets]
        parts = {
            "data": _UNKNOWN if _UNKNOWN in data else data[0] if len(data) == 1 else _short(data),
            "code": self._code,
            "config": self._config_of(instance),
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

    def _config_of(self, instance: Instance) -> str:
        """Digest the configuration of an instance; what most of the fleet shares is put into words once."""
        key = id(instance.spec), id(instance.usecase)
        if key not in self._settings:  # with the instance, so that no other object gets one of these ids
            self._settings[key] = instance, settings_text(instance)
        return config_digest(instance, self._settings[key][1])

    def _contract_of(self, suite: str | None) -> str:
        if suite is None:
            return "none"
        try:
            return hashlib.sha256((self._root / suite).read_bytes()).hexdigest()[:16]
        except OSError:
            return _UNKNOWN


def config_digest(instance: Instance, settings: str | None = None) -> str:
    """Digest what the configuration says about the fit of an instance: not who approves, nor where things are kept."""
    assets = _text([[asset.id, dict(asset.attributes)] for asset in instance.unit.assets])
    return _digest(f"[{settings or settings_text(instance)}, {assets}]")


def settings_text(instance: Instance) -> str:
    """Put into words what the configuration says about an instance, but for its assets."""
    usecase = instance.usecase
    parts = (
        instance.spec.model_dump(mode="json", exclude={"promote": {"approval"}}),
        usecase.data.model_dump(mode="json", by_alias=True),
        usecase.contract.model_dump(mode="json"),
        usecase.seed,
    )
    return ", ".join(map(_text, parts))


def _short(value: Sequence[object]) -> str:
    return _digest(_text(value))


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
