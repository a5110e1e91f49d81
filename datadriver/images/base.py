"""The base image of a use case: what goes into it, the key that says so, and its build."""

from __future__ import annotations

import hashlib
import json
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from datadriver.config.package_section import Package
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError
from datadriver.images.context import context_files, copy_files, digest_of
from datadriver.images.docker_build import DockerBuild
from datadriver.images.engine import Engine
from datadriver.images.names import base_repository, prefix_of
from datadriver.images.requirements import pins, requirements
from datadriver.images.spec import BaseImage
from datadriver.images.wheel import Wheel, own_wheel

KEY = "io.datadriver.content-key"
"""Label that holds the whole content key."""
_WHEELS = "wheels"


@dataclass(frozen=True)
class BaseBuild:
    """A base image that can be built.

    Attributes:
        usecase: what it is called.
        root: folder of the use case.
        package: parent, platform, secrets.
        files: of the use case that the build sees.
        requirements: exact versions, the text of a requirements file.
        wheel: datadriver, where no index has it.
        key: sha256 over all that goes into the image.
    """

    usecase: str
    root: Path
    package: Package
    files: tuple[str, ...]
    requirements: str
    wheel: Wheel | None
    key: str

    @classmethod
    def of(cls, usecase: UseCase, root: Path) -> BaseBuild:
        """Say what the base image of a use case is to hold; nothing is built.

        Raises:
            ConfigError: no Dockerfile, or something that is needed is not installed here.
            MissingExtraError: the extra `docker` is not installed.
        """
        package = usecase.package
        files = tuple(
            name for name in context_files(root, package.dockerfile) if not _is_given(name, package.requirements)
        )
        wheel = own_wheel()
        wanted = requirements(usecase, root, wheel)
        said = {
            "files": digest_of(root, files),
            "dockerfile": package.dockerfile,
            "requirements": wanted,
            "wheel": wheel and hashlib.sha256(wheel.content).hexdigest(),
            "parent": package.base_image,
            "platform": package.platform,
        }
        key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        return cls(usecase.name, root, package, files, wanted, wheel, key)

    @property
    def name(self) -> str:
        """`pumps/base:3f2a91c07d5e`: the same for the same content, wherever and whenever it is built."""
        return f"{base_repository(prefix_of(self.usecase, self.package.prefix))}:{self.key[:12]}"

    def run(
        self, engine: Engine, reference: str, *, revision: str | None = None, network: str | None = None
    ) -> BaseImage:
        """Build it in an engine under a name.

        Args:
            engine: that will have it.
            reference: the name, with the registry where there is one.
            revision: of the use case's code, for the label.
            network: of the build, `host` for one that reaches the index only from there.

        Raises:
            UnavailableError: engine, parent image or index of packages cannot be reached, or the disk is full.
            ConfigError: the build fails for another reason; the end of its output is in the message.
        """
        with tempfile.TemporaryDirectory() as folder:
            self._lay_out(Path(folder))
            DockerBuild(
                Path(folder),
                dockerfile=self.package.dockerfile,
                tag=reference,
                parent=self.package.base_image,
                labels=self._labels(revision),
                secrets=self._secrets(),
                platform=self.package.platform,
                network=network,
            ).run()
        return self._checked(engine, reference)

    def _lay_out(self, folder: Path) -> None:
        # What it keeps out is out already, and what is written below must not be.
        copy_files(self.root, tuple(name for name in self.files if not name.endswith(".dockerignore")), folder)
        (folder / "requirements.lock").write_text(self.requirements, "utf-8")
        if self.wheel is not None:
            (folder / _WHEELS).mkdir()
            (folder / _WHEELS / self.wheel.name).write_bytes(self.wheel.content)

    def _labels(self, revision: str | None) -> dict[str, str]:
        said = {
            KEY: self.key,
            "org.opencontainers.image.title": f"{self.usecase}, base image",
            "org.opencontainers.image.base.name": self.package.base_image,
            "org.opencontainers.image.revision": revision,
            "org.opencontainers.image.licenses": _licence(self.root),
        }
        return {name: value for name, value in said.items() if value}

    def _secrets(self) -> dict[str, Path]:
        """Return the files by the name of their secret."""
        secrets = self.package.secrets
        named = {"pip": secrets.pip, "certificates": secrets.certificates}
        paths = {name: self.root / file for name, file in named.items() if file is not None}
        absent = [
            f"package.secrets.{name}: there is no file {path}" for name, path in paths.items() if not path.is_file()
        ]
        if absent:
            raise ConfigError(absent)
        return paths

    def _checked(self, engine: Engine, reference: str) -> BaseImage:
        built = engine.base(reference)
        if built is None:
            raise ConfigError(
                f"{reference} was built, and {engine.name} does not have it: `docker` builds elsewhere. Let its "
                "context or DOCKER_HOST name the same engine"
            )
        platform = f"{built.os}/{built.architecture}"
        if self.package.platform and not self.package.platform.startswith(platform):
            raise ConfigError(
                f"package.platform is {self.package.platform}, and {reference} was built for {platform}: its parent "
                f"{self.package.base_image} is of that kind. Choose a parent for {self.package.platform}"
            )
        return built


def write_lock(usecase: UseCase, root: Path) -> Path:
    """Write the versions that are installed here to `package.requirements`, for later builds and those by hand.

    Raises:
        ConfigError: something that is needed is not installed, or cannot be had from an index.
    """
    path = root / usecase.package.requirements
    text = pins(usecase, root, own_wheel())
    path.write_text(f"# What the base image holds; written by `datadriver package --lock`.\n{text}", "utf-8")
    return path


def _is_given(name: str, lock: str) -> bool:
    """Whether a file of the context is one that we write into it ourselves."""
    return name == lock or (name.startswith(f"{_WHEELS}/datadriver-") and name.endswith(".whl"))


def _licence(root: Path) -> str | None:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8")).get("project", {})
    licence = project.get("license")
    return licence.get("text") if isinstance(licence, dict) else licence
