"""The way to a registry: its address, TLS or not, proxies, and what a failed connection means."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

from datadriver.errors import ConfigError, MissingExtraError
from datadriver.images.registry_answers import NotNowError

if TYPE_CHECKING:
    from aiohttp import ClientSession

_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?")
_HUB = {"docker.io": "registry-1.docker.io"}
_CONNECT, _SILENCE = 10.0, 120.0
"""Seconds to connect, and of silence on a connection; a registry may be slow to check a large upload."""


def root_of(host: str, *, certificates: Path | None = None) -> str:
    """Return the URL that all paths start from.

    Plain HTTP is spoken to this machine only, and not there if certificates are given.

    Raises:
        ConfigError: it is not `host[:port]`.
    """
    if not _HOST.fullmatch(host):
        raise ConfigError(f"package.registry: {host!r} is not host[:port], such as 'registry.example.com:5000'")
    name = _HUB.get(host, host)
    plain = is_here(re.sub(r":[0-9]+$", "", name).strip("[]")) and certificates is None
    return f"{'http' if plain else 'https'}://{name}/"


def is_here(host: str) -> bool:
    """Tell whether a host is this machine.

    >>> is_here("localhost"), is_here("127.0.0.1"), is_here("::1"), is_here("registry")
    (True, True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(scheme: str, host: str) -> str | None:
    """Return the proxy that the environment names for a host (`HTTPS_PROXY`, `NO_PROXY`)."""
    return None if is_here(host) or proxy_bypass(host) else getproxies().get(scheme)


def open_session(*, certificates: Path | None, connections: int) -> ClientSession:
    """Open a pool of connections that stay open; to be called, used and closed in one event loop.

    Args:
        certificates: CA certificates (PEM) to be trusted besides the system's.
        connections: So many at most.

    Raises:
        ConfigError: the certificates cannot be read.
        MissingExtraError: the extra `docker` is not installed.
    """
    try:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("docker", "pushing to a registry") from error
    connector = TCPConnector(limit=connections, ssl=_trust(certificates))
    timeout = ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENCE)
    return ClientSession(connector=connector, timeout=timeout, cookie_jar=DummyCookieJar())


def _trust(certificates: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificates is not None:
        try:
            context.load_verify_locations(cafile=certificates)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"{certificates}: no CA certificates in PEM format can be read there ({error})"
            ) from error
    return context


@contextmanager
def reaching(host: str, doing: str) -> Iterator[None]:
    """Turn a failed connection into an error of ours.

    Raises:
        NotNowError: it may work later.
        ConfigError: certificate or TLS are wrong.
    """
    from aiohttp import ClientConnectorCertificateError, ClientConnectorSSLError, ClientError, InvalidURL  # noqa: PLC0415

    start = f"registry {host}, {doing}"
    try:
        yield
    except ClientConnectorCertificateError as error:
        raise ConfigError(
            f"{start}: its certificate is not to be trusted ({_said(error.certificate_error)}). Give the CA's "
            "certificate with `package.secrets.certificates`, or have the system trust it"
        ) from error
    except ClientConnectorSSLError as error:
        raise ConfigError(
            f"{start}: no TLS is spoken there ({_said(error)}). Plain HTTP is for a registry on this machine only"
        ) from error
    except InvalidURL as error:
        raise ConfigError(f"{start}: it named an address that is none ({error})") from error
    except TimeoutError as error:
        raise NotNowError(f"{start}: did not answer in time") from error
    except (ClientError, OSError) as error:
        raise NotNowError(f"{start}: the connection failed ({_said(error)})") from error


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
