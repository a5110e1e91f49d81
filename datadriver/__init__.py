"""datadriver: from one notebook to a fleet of per-asset models."""

from __future__ import annotations

__version__ = "0.1.0"
