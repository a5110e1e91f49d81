"""The images of model versions, as the ledger keeps them: where each went, under what name and digest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import sqlalchemy as sa

from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger, insert
from datadriver.tracking.liveness import now
from datadriver.tracking.records import Key

_AT_ONCE = 500  # images in one statement


class Packed(NamedTuple):
    """A model version in an image."""

    unit: str
    model: str
    version: int

    @property
    def key(self) -> Key:
        """The instance."""
        return Key(self.unit, self.model)


@dataclass(frozen=True)
class ImageRecord:
    """An image that was made.

    Attributes:
        place: registry that it was pushed to, or name of the engine that it was loaded into.
        repository: its name there, without registry and tag, `pumps/p-101.motor_temperature`.
        tag: `v3`.
        image_id: sha256 of its configuration, what an engine calls it.
        digest: sha256 of its manifest, what a registry calls it; None where it is in an engine only.
        base: reference of the base image that it stands on.
        size: of its own layer, bytes.
        models: the versions in it.
        at: when it was made; `batch`: by which command.
        tagged: whether MLflow's versions tell of it.
        pruned_at: when it was removed.
    """

    place: str
    repository: str
    tag: str
    image_id: str
    digest: str | None
    base: str
    size: int
    models: tuple[Packed, ...]
    batch: str
    at: str = ""
    tagged: bool = False
    pruned_at: str | None = None
    number: int | None = None
    """Of the record in the ledger."""

    @property
    def name(self) -> str:
        """`pumps/p-101.motor_temperature:v3`."""
        return f"{self.repository}:{self.tag}"

    @property
    def reference(self) -> str:
        """What to pull or run: by digest where a registry has it, else by name."""
        return f"{self.place}/{self.repository}@{self.digest}" if self.digest else self.name


def record_images(ledger: Ledger, images: Sequence[ImageRecord]) -> None:
    """Record images that were made, in one transaction; one that is on record already stays as it is.

    A name that now means another image is taken from the record that had it: that one counts as pruned.
    """
    table = schema.images.c
    with ledger.writing() as connection:
        for image in images:
            named = (table.place == image.place, table.repository == image.repository, table.tag == image.tag)
            same = sa.and_(table.image_id == image.image_id, table.digest.is_not_distinct_from(image.digest))
            other = sa.update(schema.images).where(*named, table.pruned_at.is_(None), sa.not_(same))
            connection.execute(other.values(pruned_at=now()))
            _insert(connection, image)


def images(
    ledger: Ledger, *, place: str | None = None, repository: str | None = None, pruned: bool = False
) -> tuple[ImageRecord, ...]:
    """Return the images that there are, oldest first; with `pruned` those that were, too."""
    table, item = schema.images.c, schema.image_models.c
    statement = sa.select(schema.images, item.unit, item.model, item.version).join(
        schema.image_models, item.image == table.id
    )
    if place is not None:
        statement = statement.where(table.place == place)
    if repository is not None:
        statement = statement.where(table.repository == repository)
    if not pruned:
        statement = statement.where(table.pruned_at.is_(None))
    with ledger.reading() as connection:
        ordered = statement.order_by(table.id, item.unit, item.model)
        rows = [dict(row) for row in connection.execute(ordered).mappings()]
    return tuple(_image(list(same)) for _, same in groupby(rows, key=lambda row: row["id"]))


def packed_versions(ledger: Ledger) -> frozenset[tuple[Key, int]]:
    """Return every version that is in an image that there is."""
    table, item = schema.images.c, schema.image_models.c
    statement = (
        sa.select(item.unit, item.model, item.version)
        .join(schema.images, item.image == table.id)
        .where(table.pruned_at.is_(None))
    )
    with ledger.reading() as connection:
        return frozenset((Key(row.unit, row.model), row.version) for row in connection.execute(statement))


def mark_pruned(ledger: Ledger, numbers: Collection[int]) -> None:
    """Record that images were removed."""
    _set(ledger, numbers, pruned_at=now())


def mark_tagged(ledger: Ledger, numbers: Collection[int]) -> None:
    """Record that the versions in MLflow tell of these images."""
    _set(ledger, numbers, tagged=True)


def _set(ledger: Ledger, numbers: Iterable[int], **values: object) -> None:
    ordered = sorted(numbers)
    with ledger.writing() as connection:
        for start in range(0, len(ordered), _AT_ONCE):
            some = schema.images.c.id.in_(ordered[start : start + _AT_ONCE])
            connection.execute(sa.update(schema.images).where(some).values(**values))


def _insert(connection: sa.Connection, image: ImageRecord) -> None:
    names = ("place", "repository", "tag", "image_id", "digest", "base", "size", "batch")
    row = {**{name: getattr(image, name) for name in names}, "at": now(), "tagged": False}
    statement = insert(connection, schema.images).values(**row).on_conflict_do_nothing()
    number = connection.execute(statement.returning(schema.images.c.id)).scalar()
    if number is not None:  # else it is there, from before or from another process
        connection.execute(sa.insert(schema.image_models), [{"image": number, **one._asdict()} for one in image.models])


def _image(rows: Sequence[dict[str, object]]) -> ImageRecord:
    known = {name: value for name, value in rows[0].items() if name not in {"id", *Packed._fields}}
    models = tuple(Packed(*(row[name] for name in Packed._fields)) for row in rows)  # type: ignore[arg-type]
    return ImageRecord(**known, models=models, number=rows[0]["id"])  # type: ignore[arg-type]
