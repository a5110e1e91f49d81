"""How a server is set up."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """What a server takes on: bytes and rows of one request, requests at a time, requests in one pass."""

    body: int = 16 * 2**20
    rows: int = 100_000
    requests: int = 256
    batch: int = 64


@dataclass(frozen=True)
class Settings:
    """How to serve; port 0 is any that is free, `grace` the seconds that requests get to end when the server stops."""

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    limits: Limits = field(default_factory=Limits)
    grace: float = 25
    access_log: bool = False
