"""Names of DAGs, of plan files and of Airflow's assets: legal everywhere, and different for what is different."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from datadriver.config.fleet import AttributeValue
from datadriver.config.grid import PLACEHOLDER
from datadriver.config.slugs import slug
from datadriver.orchestration.plan import DagKind

_FLEET = "fleet"


def dag_id(usecase: str, kind: DagKind, subject: str | None = None) -> str:
    """Name a DAG; `subject` is a slug of `subject_slug`, None for DAGs of the whole use case.

    A subject has no two underscores in a row, so that use case, subject and kind can be told from the name.

    >>> dag_id("pumps", "train", subject_slug("15/9-F-1 C")), dag_id("pumps", "release")
    ('pumps__15-9-F-1-C-525d4a6b__train', 'pumps__release')
    """
    return "__".join(part for part in (usecase, subject, kind) if part is not None)


def subject_slug(text: str, *, pooled: bool = False) -> str:
    """Make an asset id, the value of a group's attribute, or the key of a pooled unit a part of a DAG's name.

    Keys of pooled units are `fleet`, or have a `=`: an asset of such a name gets another slug than the unit.

    >>> subject_slug("P-101"), subject_slug("country=NO", pooled=True), subject_slug("country=NO")
    ('P-101', 'country-NO-615f800b', 'country-NO-bae35c7b')
    """
    if not pooled and (text == _FLEET or "=" in text):
        text += "\0"  # no id has one
    name = slug(text)
    return slug(text, extra=".-") if "__" in name else name


def retrain_event(usecase: str, unit: str) -> str:
    """Name the Airflow asset whose events start the training of a unit, an asset's own or a pooled one.

    >>> retrain_event("pumps", "P-101")
    'pumps/retrain/P-101'
    """
    return f"{usecase}/retrain/{slug(unit)}"


def data_event(name: str, attributes: Mapping[str, AttributeValue]) -> str:
    """Fill attributes into the name of an Airflow asset, each as one part of it.

    >>> data_event("sensors/{asset_id}", {"asset_id": "15/9-F-1 C"})
    'sensors/15-9-F-1-C-525d4a6b'
    """
    return PLACEHOLDER.sub(lambda found: slug(str(attributes[found[1]])), name)


def file_stem(usecase: str, shard: int | None = None, *, shards: int = 1) -> str:
    """Name a file of the plan, without suffix; without a shard, that of the use case's own DAGs.

    >>> file_stem("pumps"), file_stem("pumps", 7, shards=16), file_stem("pumps", 7, shards=500)
    ('pumps', 'pumps_07', 'pumps_007')
    """
    return usecase if shard is None else f"{usecase}_{shard:0{max(2, len(str(shards - 1)))}}"


def stable_number(texts: Iterable[str], below: int) -> int:
    """Return a number from 0 to `below` that depends on the texts alone, spread evenly.

    >>> stable_number(["pumps", "P-101"], 16) == stable_number(["pumps", "P-101"], 16) < 16
    True
    """
    digest = hashlib.sha256("\0".join(texts).encode()).digest()
    return int.from_bytes(digest[:8], "big") % below
