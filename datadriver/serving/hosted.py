"""Champions of a use case on its own machine, as the same package that an image holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from datadriver.config.fleet import Asset, Instance
from datadriver.config.sections import UseCase
from datadriver.config.slugs import slug
from datadriver.serving.packaged import Loaded, Package
from datadriver.serving.packing import Packer
from datadriver.tracking.records import Version


def open_champions(
    usecase: UseCase,
    root: Path,
    assets: Sequence[Asset],
    champions: Sequence[tuple[Instance, Version]],
    *,
    env: str | None = None,
) -> Package:
    """Return the package of some champions and the assets that they score, every archive checked.

    Raises:
        UntrustedModelError: an archive is not what was recorded.
        UnavailableError: an archive cannot be read.
    """
    packer = Packer.of(usecase, root, env)
    models = []
    for instance, version in champions:
        packed = packer.pack([asset for asset in assets if asset in instance.unit.assets], [(instance, version)])
        (model,) = packed.manifest.models
        (archive,) = packed.archives.values()
        path = f"{slug(instance.unit.key)}/{model.path}"  # in an image a unit has a folder of its own
        models.append(Loaded(replace(model, path=path), instance, archive))
    served = {name for one in models for name in one.packaged.assets}
    manifest = packer.pack([asset for asset in assets if asset.id in served], []).manifest
    return Package(replace(manifest, models=tuple(one.packaged for one in models)), usecase, root, tuple(models))
