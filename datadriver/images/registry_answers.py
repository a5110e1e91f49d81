"""What a registry's answer means: done, to be asked again, or refused with a reason that says what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datadriver.errors import ConfigError, DatadriverError, UnavailableError

LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be different the next time."""
_LONGEST_WAIT = 30.0


@dataclass(frozen=True)
class Answer:
    """A registry's answer: its status, headers by lower-case name, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def codes(self) -> tuple[str, ...]:
        """The error codes of the distribution specification that it holds, `MANIFEST_BLOB_UNKNOWN`."""
        return tuple(str(one.get("code")) for one in self._errors())

    @property
    def says(self) -> str:
        """For people: status, and what the registry said about it."""
        told = [" ".join(str(one[key]) for key in ("code", "message") if one.get(key)) for one in self._errors()]
        detail = "; ".join(dict.fromkeys(_detail(one.get("detail")) for one in self._errors()))[:300]
        return " ".join(part for part in (str(self.status), "; ".join(dict.fromkeys(told)), detail) if part)

    def _errors(self) -> list[dict[str, Any]]:
        try:
            known = json.loads(self.body)["errors"]
        except (ValueError, KeyError, TypeError):
            return []
        return [one for one in known if isinstance(one, dict)] if isinstance(known, list) else []


class NotNowError(UnavailableError):
    """A step did not work this time; `wait` is the number of seconds that the registry wants to be left alone."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


def refusal(answer: Answer, host: str, doing: str) -> DatadriverError:
    """Return the error for an answer that is not the hoped-for one.

    Args:
        answer: what the registry said.
        host: which registry.
        doing: what was asked, `pushing pumps/p-101:v3`.
    """
    start = f"registry {host}, {doing}: answered {answer.says}"
    if answer.status in LATER:
        return NotNowError(start, _wait(answer.headers.get("retry-after", "")))
    return ConfigError(f"{start}. {_advice(answer, host)}")


def _detail(known: Any) -> str:
    """Say what is in an error's `detail`; docker-registry puts the number of a disk's error somewhere in it."""
    if isinstance(known, dict):
        number = known.get("Err")
        if isinstance(number, int):
            return f"({os.strerror(number)})"
        return _detail(known["Enclosed"]) if "Enclosed" in known else json.dumps(known)
    return str(known or "")


def _wait(header: str) -> float:
    return min(float(header), _LONGEST_WAIT) if header.isdecimal() else 0.0


def _advice(answer: Answer, host: str) -> str:  # noqa: PLR0911 - one sentence for each kind
    if answer.status == 401:
        return f"Log in with `docker login {host}`: what Docker's configuration has was not accepted"
    if answer.status == 403:
        return "This login may not do that: ask for the right to push, or choose another `package.prefix`"
    if "NAME_INVALID" in answer.codes:
        return "It does not allow this name: choose another `package.prefix`"
    if "NAME_UNKNOWN" in answer.codes:
        return "It does not make repositories by itself: create this one, or choose another `package.prefix`"
    if "MANIFEST_BLOB_UNKNOWN" in answer.codes or "BLOB_UNKNOWN" in answer.codes:
        return "Layers of the base image are gone from it: push the base image again"
    if any(code.startswith("MANIFEST_") for code in answer.codes):
        return "It refuses the image: it has to take OCI images (image specification 1.0 or later)"
    if answer.status == 405:
        return (
            "It does not allow that: it is read-only, or lets nobody delete (docker-registry: `storage.delete.enabled`)"
        )
    if answer.status == 413:
        return "It is too large for it, or for a proxy in between"
    return "Is `package.registry` the address of a container registry?"
