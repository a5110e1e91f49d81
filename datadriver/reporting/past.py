"""How checks stood at an earlier time: facts say it of every window, the ledger only of the newest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from datadriver.config.sections import UseCase
from datadriver.data.window import Instant, Window, shift
from datadriver.monitoring.store import monitor_path, read_facts
from datadriver.tracking.monitor_records import CheckState
from datadriver.tracking.monitoring import CheckKey
from datadriver.tracking.records import instant_text

_KEY = ["asset_id", "unit", "model", "check"]


def states_at(
    usecase: UseCase, root: Path, newest: Mapping[CheckKey, CheckState], until: Instant
) -> Mapping[CheckKey, CheckState]:
    """Return the state of each check after its last window that ended by `until`.

    Windows of the last `monitor.history` count. Owner and runbook are those of now.
    """
    span = usecase.monitor_window * usecase.monitor.history
    facts = read_facts(monitor_path(usecase, root), window=Window(shift(until, -span), until))
    if facts.empty:
        return {}  # an empty table does not know whether its index is a step
    last = facts[facts["window_end"] <= until].drop_duplicates(_KEY, keep="last")
    found = {}
    for row in last.to_dict("records"):
        key = CheckKey(*(str(row[name]) for name in _KEY))
        found[key] = _state(row, newest.get(key))
    return found


def _state(row: Mapping[Any, Any], now: CheckState | None) -> CheckState:
    names = ("unit", "model", "check", "state", "outcome", "severity", "measure", "about", "reason", "recent")
    return CheckState(
        asset=row["asset_id"],
        **{name: row[name] for name in names},
        window_start=_text(row["window_start"]),
        window_end=_text(row["window_end"]),
        value=None if pd.isna(row["value"]) else float(row["value"]),
        limit=None if pd.isna(row["limit"]) else float(row["limit"]),
        since=None if pd.isna(row["since"]) else _text(row["since"]),
        version=None if pd.isna(row["version"]) else int(row["version"]),
        owner=None if now is None else now.owner,
        runbook=None if now is None else now.runbook,
    )


def _text(instant: Any) -> str:
    return str(instant_text(instant if isinstance(instant, pd.Timestamp) else int(instant)))
