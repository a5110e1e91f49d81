"""A suite held against the use case: does the frame have these columns, and do spans fit its index?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datadriver.config.sections import UseCase
from datadriver.config.source_rules import columns_of
from datadriver.data.contract import catalogue
from datadriver.errors import nearest


def frame_problems(usecase: UseCase, root: Path) -> Iterator[str]:
    """Yield what the suite asks of columns that no frame has, and spans of the other kind of index.

    Columns are known where every source declares its tags.
    """
    label = usecase.contract.suite
    if label is None:
        return
    document, _ = catalogue.read(root / label, label=label)
    items = document.get("expectations") if isinstance(document, dict) else None
    for position, item in enumerate(items if isinstance(items, list) else []):
        kwargs = item.get("kwargs") if isinstance(item, dict) else None
        entry = catalogue.entries().get(str(item.get("type"))) if isinstance(kwargs, dict) else None
        if entry is None or not isinstance(kwargs, dict):  # said where the file is checked
            continue
        found = [*_column_problems(usecase, kwargs), *(_span_problems(usecase, kwargs) if entry.ours else ())]
        yield from (f"{label}: expectations[{position}] {item['type']}: {said}" for said in found)


def _column_problems(usecase: UseCase, kwargs: Mapping[str, Any]) -> Iterator[str]:
    declared = columns_of(usecase)
    if declared is None:
        return
    known = {usecase.data.index, *declared}
    late = {source.known_at for source in usecase.data.sources.values() if source.known_at}
    for key in ("column", "column_A", "column_B", "column_list", "tag"):
        value = kwargs.get(key)
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str) and name not in known | (late if key == "tag" else set()):
                yield f"{key}: no source has a tag {name!r}{nearest(name, known)}"


def _span_problems(usecase: UseCase, kwargs: Mapping[str, Any]) -> Iterator[str]:
    time = usecase.data.index == "time"
    for key in catalogue.SPANS:
        value = kwargs.get(key)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and isinstance(value, str) != time:
            wanted = "a duration such as 2h" if time else "a whole number of steps"
            yield f"{key}: data.index is {usecase.data.index}, so this must be {wanted}, not {value!r}"
