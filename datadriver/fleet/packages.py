"""The fleet as images: which versions, on which base, to which place; what `datadriver package` asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from datadriver.config.fleet import Asset, Instance
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, DatadriverError, UnavailableError
from datadriver.fleet.batches import batch
from datadriver.fleet.package import PackageReport, Packaging, Wanted, tell_mlflow, wanted, without_version
from datadriver.fleet.progress import Progress, Silent
from datadriver.fleet.revision import code_revision
from datadriver.images.base import BaseBuild
from datadriver.images.destinations import Destination, IntoEngine, IntoRegistry
from datadriver.images.engine import Engine
from datadriver.images.names import base_repository, check_length, prefix_of
from datadriver.images.registry import Registry
from datadriver.images.registry_session import is_here
from datadriver.images.spec import BaseImage
from datadriver.tracking import queries
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.proposals import proposal, proposed_versions
from datadriver.tracking.records import Key, Version
from datadriver.tracking.releases import diff


@dataclass(frozen=True)
class Packages:
    """The images of one use case.

    Attributes:
        usecase: its configuration, environment applied, before overrides.
        env: the environment that images score in.
        tracker: opens MLflow; asked for only when versions are to be tagged.
        push: straight to the registry, not into an engine.
        challengers: of what `promote` would make champions, not of the champions.
        proposal: number or name of a proposal: of the versions in it.
    """

    usecase: UseCase
    root: Path
    ledger: Ledger
    tracker: Callable[[], Tracker]
    env: str | None = None
    push: bool = False
    challengers: bool = False
    proposal: str | None = None
    progress: Progress = field(default_factory=Silent)

    def plan(self, instances: Sequence[Instance], assets: Sequence[Asset]) -> tuple[Wanted, ...]:
        """Say which images there should be.

        An image of an asset that has a new version holds the champions of its other models, too. Of a proposal there
        are two for each asset where it matters: models that need no approval are in service before the others.
        """
        if self.usecase.package.per == "model" or not (self.challengers or self.proposal):
            return wanted(self.usecase, instances, self._versions(instances), assets)
        served, found = queries.champions(self.ledger), dict[tuple[object, ...], Wanted]()
        for share in self._shares(instances):
            for one in wanted(self.usecase, instances, {**served, **share}, assets):
                if any(Key(member.unit.key, member.model) in share for member, _ in one.members):
                    found[one.name, *((member.key, version.version) for member, version in one.members)] = one
        return tuple(found.values())

    def base(self) -> BaseImage:
        """Return the base image, built and pushed where it is not there yet.

        Raises:
            ConfigError: there is no registry to push to, or the base cannot be built as configured.
            UnavailableError: no engine, registry or index of packages answers.
        """
        return self._base(self._destination())

    def make(self, instances: Sequence[Instance], assets: Sequence[Asset], *, prune: bool = False) -> PackageReport:
        """Make every image that is not there yet, tell MLflow's versions of it, and remove old ones if asked to.

        Raises:
            ConfigError: as `base`, or there is no champion.
            UnavailableError: as `base`, or the place went away; what it took until then is on record.
        """
        asked = self.plan(instances, assets)
        waiting = () if self.proposal else without_version(instances, self._versions(instances))
        if not asked and not self.challengers and self.proposal is None:
            raise ConfigError(
                f"none of the {len(instances)} chosen instances has a champion, and images are made of those: "
                "`datadriver train` and `datadriver promote` come first"
            )
        if not asked:
            return PackageReport(self.usecase.package.registry or "", "", waiting=waiting)
        destination = self._destination()
        base = self._base(destination)
        work = Packaging(self.usecase, self.root, self.ledger, destination, base, self.env, self.progress)
        with batch(self.ledger, "package", code_revision=code_revision(self.root)) as made:
            report = work.run(made.id, asked)
            pruned = work.prune(frozenset(_in_service(self.ledger))) if prune else ()
        notes, problem = self._tell()
        return replace(report, pruned=pruned, waiting=waiting, notes=notes, problem=problem)

    def _versions(self, instances: Sequence[Instance]) -> Mapping[Key, Version]:
        if self.proposal is not None:
            return proposed_versions(self.ledger, proposal(self.ledger, self.proposal))
        if not self.challengers:
            return queries.champions(self.ledger)
        latest = queries.latest_versions(self.ledger)
        return {one.key: latest[one.key] for one in diff(self.ledger, instances) if one.promotes}

    def _shares(self, instances: Sequence[Instance]) -> Sequence[Mapping[Key, Version]]:
        """Return the versions that become champions together, in the order in which they do."""
        versions = self._versions(instances)
        if self.proposal is None:
            return [versions]
        auto = {one.key for one in proposal(self.ledger, self.proposal).part("auto")}
        return [{key: version for key, version in versions.items() if key in auto}, versions]

    def _destination(self) -> Destination:
        package = self.usecase.package
        prefix = prefix_of(self.usecase.name, package.prefix)
        check_length(package.registry, prefix)
        if not self.push:
            return IntoEngine(Engine.connect(), package.registry)
        if not package.registry:
            raise ConfigError(
                "package.registry is not set, so there is nowhere to push to; give it as host[:port], such as "
                "registry.example.com or localhost:5000"
            )
        bundle = package.secrets.certificates
        # This machine's own registries speak plain HTTP, whatever the company's certificates are.
        trusted = self.root / bundle if bundle and not is_here(package.registry.rpartition(":")[0]) else None
        return IntoRegistry(Registry(package.registry, certificates=trusted), base_repository(prefix), package.platform)

    def _base(self, destination: Destination) -> BaseImage:
        build = BaseBuild.of(self.usecase, self.root)
        found = destination.base(build.name)
        if found is not None:
            return found
        engine = Engine.connect()
        registry = self.usecase.package.registry
        reference = f"{registry}/{build.name}" if registry else build.name
        if engine.base(reference) is None:
            network = self.usecase.package.network
            build.run(engine, reference, revision=code_revision(self.root), network=network)
        if self.push:
            engine.push_base(reference)
        found = destination.base(build.name)
        if found is None:
            raise UnavailableError(f"{reference}: the base image was built and is not there any more; run this again")
        return found

    def _tell(self) -> tuple[tuple[str, ...], DatadriverError | None]:
        """Tag versions in MLflow; if that fails, all images are made all the same."""
        try:
            untold = tell_mlflow(self.ledger, self.tracker)
        except DatadriverError as error:
            later = "the images are made and on record; run `datadriver package` again to tell MLflow of them"
            return (), type(error)(f"{error.message}; {later}")
        return ((f"MLflow does not have the versions of {untold} images yet",) if untold else ()), None


def _in_service(ledger: Ledger) -> set[tuple[Key, int]]:
    """Champions, and the newest versions, which may be next."""
    served = queries.champions(ledger).values(), queries.latest_versions(ledger).values()
    return {(version.key, version.version) for versions in served for version in versions}
