"""Make an image of each model version, or of each asset with all of its models, and put it where images go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from datadriver.config.fleet import Asset, Instance
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, DatadriverError, PartialFailure
from datadriver.fleet.outcomes import Miss, failure
from datadriver.fleet.progress import Progress, Silent
from datadriver.images.destinations import Destination
from datadriver.images.layer import build_layer
from datadriver.images.names import asset_repository, model_repository, prefix_of
from datadriver.images.spec import BaseImage, Image
from datadriver.serving.manifest import PackageManifest
from datadriver.serving.packing import Packer
from datadriver.tracking.images import ImageRecord, Packed, images, mark_pruned, mark_tagged, record_images
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.records import Key, Version

_AT_ONCE = 128  # images of which the layers are in memory together


@dataclass(frozen=True)
class Wanted:
    """An image that there should be: which versions it holds, and for which assets.

    `tag` is None where the name of the image follows from its content.
    """

    name: str
    repository: str
    tag: str | None
    members: tuple[tuple[Instance, Version], ...]
    assets: tuple[Asset, ...]


@dataclass(frozen=True)
class PackageReport:
    """What packaging did.

    Attributes:
        batch: its id in the ledger; None where nothing was to be made.
        place: the registry, or the engine's name.
        base: reference of the base image.
        made: images that were made now.
        present: images that were there already.
        pruned: images that were removed.
        waiting: instances without the version that was asked for.
        misses: what could not be made an image, and why.
        notes: what else the caller should know.
        problem: why the command did not come to its end, though all images are made.
    """

    place: str
    base: str
    batch: str | None = None
    made: tuple[ImageRecord, ...] = ()
    present: tuple[ImageRecord, ...] = ()
    pruned: tuple[ImageRecord, ...] = ()
    waiting: tuple[str, ...] = ()
    misses: tuple[Miss, ...] = ()
    notes: tuple[str, ...] = ()
    problem: DatadriverError | None = None
    seconds: float = 0.0

    @property
    def failure(self) -> DatadriverError | None:
        """What the command ends with, if not all is well."""
        if self.problem is not None:
            return self.problem
        total = len(self.made) + len(self.present) + len(self.misses)
        return failure(self.misses, of=total, what="images")


def wanted(
    usecase: UseCase, instances: Sequence[Instance], versions: Mapping[Key, Version], assets: Sequence[Asset]
) -> tuple[Wanted, ...]:
    """Say which images these versions make: one per instance, or with `package.per: asset` one per asset."""
    prefix = prefix_of(usecase.name, usecase.package.prefix)
    known = [(one, versions[_key(one)]) for one in instances if _key(one) in versions]
    if usecase.package.per == "model":
        return tuple(
            Wanted(
                f"{one.key} v{version.version}",
                model_repository(prefix, one.unit.key, one.model),
                f"v{version.version}",
                ((one, version),),
                one.unit.assets,
            )
            for one, version in known
        )
    chosen = {asset.id for asset in assets}
    by_asset: dict[str, tuple[Asset, list[tuple[Instance, Version]]]] = {}
    for member in known:
        for asset in member[0].unit.assets:
            if asset.id in chosen:
                by_asset.setdefault(asset.id, (asset, []))[1].append(member)
    return tuple(
        Wanted(asset.id, asset_repository(prefix, asset.id), None, tuple(members), (asset,))
        for asset, members in by_asset.values()
    )


@dataclass(frozen=True)
class Packaging:
    """What making images needs to know."""

    usecase: UseCase
    root: Path
    ledger: Ledger
    destination: Destination
    base: BaseImage
    env: str | None = None
    progress: Progress = field(default_factory=Silent)

    def run(self, batch: str, asked: Sequence[Wanted]) -> PackageReport:
        """Put every image that is not there yet; each is on record as soon as its group is there.

        Raises:
            UnavailableError: engine or registry went away; what they took until then is on record.
        """
        started = time.monotonic()
        packer = Packer.of(self.usecase, self.root, self.env)  # reads the code, once for all images
        made: list[ImageRecord] = []
        present: list[ImageRecord] = []
        misses: list[Miss] = []
        self.progress.begin("images", len(asked))
        try:
            for start in range(0, len(asked), _AT_ONCE):
                drafts, failed = self._drafts(packer, asked[start : start + _AT_ONCE])
                misses += failed
                for _ in failed:
                    self.progress.advance(failed=True)
                old, new, failed = self._put(batch, drafts)
                present += old
                made += new
                misses += failed
        finally:
            self.progress.end()
        return PackageReport(
            self.destination.place,
            self.base.reference,
            batch,
            tuple(made),
            tuple(present),
            misses=tuple(misses),
            seconds=time.monotonic() - started,
        )

    def prune(self, keep: frozenset[tuple[Key, int]]) -> tuple[ImageRecord, ...]:
        """Remove images from this place, but for the newest `package.keep` of each name and those of versions to keep.

        Images of another place, and such as datadriver did not make, stay.
        """
        by_repository: dict[str, list[ImageRecord]] = {}
        for record in images(self.ledger, place=self.destination.place):
            by_repository.setdefault(record.repository, []).append(record)
        old = [
            record
            for records in by_repository.values()
            for record in records[: -self.usecase.package.keep]
            if not any((packed.key, packed.version) in keep for packed in record.models)
        ]
        gone = []
        for start in range(0, len(old), _AT_ONCE):
            some = old[start : start + _AT_ONCE]
            self.destination.remove({one.name: one.digest or one.image_id for one in some})
            mark_pruned(self.ledger, [one.number for one in some if one.number is not None])
            gone += some
        return tuple(gone)

    def _drafts(self, packer: Packer, asked: Sequence[Wanted]) -> tuple[list[tuple[Image, Wanted]], list[Miss]]:
        drafts, misses = [], []
        for one in asked:
            try:
                packed = packer.pack(one.assets, one.members)
                _require_same_code(packed.manifest)
                layer = build_layer(packed.manifest, packed.archives)
            except DatadriverError as error:
                misses.append(Miss(one.name, str(error), error.exit_code))
                continue
            image = Image(one.repository, one.tag or "", self.base, layer, _annotations(packed.manifest))
            drafts.append((image if one.tag else replace(image, tag=image.id.removeprefix("sha256:")[:12]), one))
        return drafts, misses

    def _put(
        self, batch: str, drafts: Sequence[tuple[Image, Wanted]]
    ) -> tuple[list[ImageRecord], list[ImageRecord], list[Miss]]:
        """Put what is missing of a group: what was there, what was made, and what was refused."""
        there = self.destination.existing([image.name for image, _ in drafts])
        known = {image.name: self._record(batch, image, one) for image, one in drafts}
        missing = {
            image.name: one for image, one in drafts if there.get(image.name) != self.destination.identity(image)
        }
        old = [name for name in known if name not in missing]
        for _ in old:
            self.progress.advance()
        done: list[str] = []
        refused: DatadriverError | None = None
        try:
            for name in self.destination.put([image for image, _ in drafts if image.name in missing]):
                done.append(name)
                self.progress.advance()
        except (ConfigError, PartialFailure) as error:
            refused = error  # the place works, so the others may go on
        finally:
            # What was there may be unknown to this ledger: another one, or a kill before its record.
            record_images(self.ledger, [known[name] for name in (*old, *done)])
        misses = [
            Miss(one.name, str(refused), refused.exit_code)
            for name, one in missing.items()
            if name not in done and refused
        ]
        for _ in misses:
            self.progress.advance(failed=True)
        return [known[name] for name in old], [known[name] for name in known if name in done], misses

    def _record(self, batch: str, image: Image, one: Wanted) -> ImageRecord:
        return ImageRecord(
            place=self.destination.place,
            repository=image.repository,
            tag=image.tag,
            image_id=image.id,
            digest=image.digest if self.base.layers else None,  # only a registry has compressed layers
            base=self.base.reference,
            size=len(image.layer),
            models=tuple(
                Packed(instance.unit.key, instance.model, version.version) for instance, version in one.members
            ),
            batch=batch,
        )


def tell_mlflow(ledger: Ledger, tracker: Callable[[], Tracker]) -> int:
    """Tag the versions in MLflow with the images that hold them; return how many images wait for their version.

    Raises:
        UnavailableError: the tracking store does not answer; the next packaging tells it.
    """
    untold = [record for record in images(ledger) if not record.tagged]
    tags: dict[tuple[Key, int], dict[str, str]] = {}
    for record in untold:
        for packed in record.models:
            said = {"datadriver.image": record.reference, "datadriver.image_tag": f"{record.place}/{record.name}"}
            tags.setdefault((packed.key, packed.version), {}).update(said)
    there = tracker().tag_versions(tags) if tags else set()  # opening MLflow takes seconds
    told = [record for record in untold if all((one.key, one.version) in there for one in record.models)]
    mark_tagged(ledger, [record.number for record in told if record.number is not None])
    return len(untold) - len(told)


def _require_same_code(manifest: PackageManifest) -> None:
    """Refuse a model that was trained by other code than the base image has: its features may be others.

    Raises:
        ConfigError: it was.
    """
    for model in manifest.models:
        if model.code_digest is not None and model.code_digest != manifest.code_digest:
            raise ConfigError(
                f"{model.name} was trained with other code than the use case has now, and would get other features "
                "in the image: train it again (`datadriver train` finds it due), or check out the code it was "
                "trained with"
            )


def _annotations(manifest: PackageManifest) -> dict[str, str]:
    """What the image says of itself; the keys of OCI where there is one.

    Source: https://github.com/opencontainers/image-spec/blob/main/annotations.md
    """
    models = manifest.models
    return {
        "org.opencontainers.image.title": ", ".join(f"{one.unit}/{one.model}" for one in models),
        "org.opencontainers.image.version": ", ".join(str(one.version) for one in models),
        "io.datadriver.usecase": manifest.usecase,
        "io.datadriver.result-keys": ",".join(one.result_key for one in models),
    }


def _key(instance: Instance) -> Key:
    return Key(instance.unit.key, instance.model)


def without_version(instances: Sequence[Instance], versions: Mapping[Key, Version]) -> tuple[str, ...]:
    """Name the instances that have no version to make an image of."""
    return tuple(one.key for one in instances if _key(one) not in versions)
