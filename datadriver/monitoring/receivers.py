"""Where messages go: a URL as Apprise reads it. Nothing that this module says contains a secret of the URL."""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, MissingExtraError, nearest

if TYPE_CHECKING:
    from types import ModuleType

_LONGEST = 4000  # characters of a message that someone still reads
_MARGIN = 0.75  # of a service's own limit: where it wants HTML, the text grows
_SHORTEST_SECRET, _SURE_SECRET = 3, 6  # characters, of a whole word, and anywhere


@dataclass(frozen=True)
class Receiver:
    """One URL and what is allowed to be known of it.

    Attributes:
        url: with its secrets.
        place: where in the configuration it is.
    """

    url: str = field(repr=False)
    place: str

    @property
    def digest(self) -> str:
        """What the ledger knows the receiver by."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:32]

    @property
    def name(self) -> str:
        """Place and kind: `monitor.notify[0] (mailto)`."""
        return f"{self.place} ({_schema(self.url) or 'no URL'})"


class Channel:
    """A receiver that Apprise understands, ready to be written to."""

    def __init__(self, receiver: Receiver) -> None:
        """Find the service of a URL, without a network.

        Raises:
            ConfigError: Apprise does not understand the URL.
            MissingExtraError: Apprise is not installed.
        """
        self.receiver = receiver
        self._apprise = _apprise()
        with _logged() as said:
            self._service = self._apprise.Apprise.instantiate(receiver.url, asset=self._asset())
        if self._service is None:
            raise ConfigError(f"{receiver.place}.to: {_complaint(receiver.url, self._apprise, said)}")

    @property
    def longest(self) -> int:
        """Most characters that a message may have."""
        return min(_LONGEST, int(self._service.body_maxlen * _MARGIN))

    def send(self, title: str, body: str, *, severity: str | None) -> str | None:
        """Send a message; returns why it was not taken, None if it was."""
        kind = {"critical": "FAILURE", "warning": "WARNING", None: "SUCCESS"}.get(severity, "INFO")
        apprise = self._apprise
        messenger = apprise.Apprise(asset=self._service.asset)
        messenger.add(self._service)
        with _logged() as said:
            taken = messenger.notify(
                body, title, notify_type=apprise.NotifyType[kind], body_format=apprise.NotifyFormat.TEXT
            )
        if taken:
            return None
        host = urlsplit(self._service.url(privacy=True)).hostname or ""  # a host that is a token is not in there
        return without_secrets(_line(said[-1:]) or "the service did not take the message", self.receiver.url, host=host)

    def _asset(self) -> Any:
        return self._apprise.AppriseAsset(
            app_id="datadriver",
            app_desc="datadriver",
            app_url="",
            async_mode=False,
            storage_mode=self._apprise.PersistentStoreMode.MEMORY,
        )


def without_secrets(text: str, url: str, *, host: str = "") -> str:
    """Blank out of a text every part of a URL but a host that may be shown.

    >>> without_secrets("no answer from plant.example/hook-7f3a", "json://ops:pw@plant.example/hook-7f3a")
    'no answer from ***/***'
    """
    parts = re.split(r"[/:@?&=#,;]+", url.partition("://")[2])
    for part in sorted({*parts, *map(unquote, parts)}, key=len, reverse=True):
        if part.casefold() == host.casefold() or len(part) < _SHORTEST_SECRET:
            continue
        text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", "***", text)
        text = text.replace(part, "***") if len(part) >= _SURE_SECRET else text
    return text


def notify_problems(usecase: UseCase) -> tuple[str, ...]:
    """Return what is wrong with the URLs of `monitor.notify`, found without a network; no URL is shown."""
    problems = []
    for place, notice in enumerate(usecase.monitor.notify):
        try:
            Channel(Receiver(notice.to, f"monitor.notify[{place}]"))
        except MissingExtraError as error:
            return (error.message,)
        except ConfigError as error:
            problems.append(error.message)
    return tuple(problems)


def _apprise() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the modules of its services, loaded at first use, warn of their own imports
        try:
            import apprise  # noqa: PLC0415 - an extra, and slow to import
        except ImportError as error:
            raise MissingExtraError("notify", "`monitor.notify`") from error
        _schemas(apprise)
    module: ModuleType = apprise
    return module


def _schemas(apprise: ModuleType) -> set[str]:
    return set(apprise.manager_plugins.NotificationManager().schemas())


def _complaint(url: str, apprise: ModuleType, said: list[str]) -> str:
    schema = _schema(url)
    known = _schemas(apprise)
    if schema is None:
        return "that is no URL as Apprise reads it, such as mailto://user:password@example.com"
    if schema not in known:
        return f"Apprise knows no service {schema}://{nearest(schema, known)}"
    reasons = [line for line in said if "://" not in line and not line.startswith("Could not load")]
    why = f": {without_secrets(_line(reasons), url)}" if reasons else ""
    return f"Apprise does not understand this URL of {schema}://{why.rstrip('.')}; see its page about that service"


def _schema(url: str) -> str | None:
    found = re.match(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://", url)
    return found[1].lower() if found else None


def _line(said: list[str]) -> str:
    """Return the first line of the first thing that was said."""
    return said[0].strip().partition("\n")[0] if said else ""


@contextmanager
def _logged() -> Iterator[list[str]]:
    """Collect what Apprise warns of, which is all it tells of a failure, and keep it from other logs."""
    said: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, handler = logging.getLogger("apprise"), Collector(logging.WARNING)
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
