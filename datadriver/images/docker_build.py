"""`docker build` with BuildKit, which alone keeps secrets out of layers; its failures in words."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from datadriver.errors import ConfigError, DatadriverError, UnavailableError

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
"""Build arguments that Docker knows and leaves out of history and configuration."""
_LINES = 20
_OUTSIDE = (
    "cannot connect to the docker daemon",
    "connection refused",
    "connection reset",
    "connection aborted",
    "connectionerror",
    "could not fetch url",
    "failed to establish a new connection",
    "i/o timeout",
    "name resolution",
    "no space left on device",
    "no such host",
    "network is unreachable",
    "readtimeouterror",
    "temporary failure",
    "tls handshake",
    "toomanyrequests",
    "unexpected eof",
    "error reading from server: eof",
)
"""What builds print when something outside did not answer, in lower case."""


@dataclass(frozen=True)
class DockerBuild:
    """One build.

    Attributes:
        context: folder that the build sees, the Dockerfile in it included.
        tag: name of the image.
        parent: what the Dockerfile's argument `PARENT` becomes.
        secrets: files by the id that `RUN --mount=type=secret` has for them.
        platform: `linux/arm64`; default: that of the engine.
        network: `host` where the index is reached only from there.
    """

    context: Path
    dockerfile: str
    tag: str
    parent: str
    labels: Mapping[str, str]
    secrets: Mapping[str, Path]
    platform: str | None = None
    network: str | None = None

    def run(self) -> None:
        """Build the image into the engine.

        Raises:
            UnavailableError: the engine, a registry or an index did not answer, or a disk is full.
            ConfigError: no `docker` here has BuildKit, or the build fails for another reason.
        """
        done = subprocess.run(  # noqa: S603
            [*_buildkit(), *self._arguments(), str(self.context)],
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise _failed(self, done.stdout)

    def _arguments(self) -> Iterator[str]:
        yield from ("--progress", "plain", "--file", str(self.context / self.dockerfile), "--tag", self.tag)
        yield from ("--build-arg", f"PARENT={self.parent}")
        for name in _proxies():
            yield from ("--build-arg", name)
        for name, value in sorted(self.labels.items()):
            yield from ("--label", f"{name}={value}")
        for name, path in sorted(self.secrets.items()):
            yield from ("--secret", f"id={name},src={path}")
        if self.platform:
            yield from ("--platform", self.platform)
        if self.network:
            yield from ("--network", self.network)


def _proxies() -> list[str]:
    """Return the proxy variables that are set; Docker takes their values from the environment, not the command line."""
    return [name for upper in _PROXIES for name in (upper, upper.lower()) if os.environ.get(name)]


@cache
def _buildkit() -> tuple[str, ...]:
    """Return the command that builds with BuildKit: the first `docker` on the PATH that can.

    Until 23 BuildKit is built in; since then it is the plugin buildx.
    """
    programs = list(_programs())
    for program in programs:
        if _output(program, "buildx", "version").returncode == 0:
            return program, "buildx", "build", "--load"
        version = _output(program, "version", "--format", "{{.Client.Version}}").stdout.strip()
        if version and version.split(".")[0].isdecimal() and 19 <= int(version.split(".")[0]) < 23:
            return program, "build"
    if not programs:
        raise ConfigError(
            "building a base image needs the program `docker`, and there is none on the PATH. Install Docker's command "
            "line, or build the base elsewhere and push it: then this machine needs neither"
        )
    raise ConfigError(
        f"building a base image needs BuildKit, which {', '.join(programs)} cannot use without the plugin buildx. "
        "Install it: the package docker-buildx-plugin, or docker-buildx on Debian"
    )


def _programs() -> Iterator[str]:
    for folder in dict.fromkeys(os.get_exec_path()):
        if found := shutil.which("docker", path=folder):
            yield found


def _output(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def _failed(build: DockerBuild, output: str) -> DatadriverError:
    parent, platform = build.parent, f" for {build.platform}" if build.platform else ""
    failed = f"{build.tag}: the base image{platform} was not built"
    lines = [line for line in output.splitlines() if line.strip()]
    end = "\n".join(f"  {line}" for line in lines[-_LINES:])
    low = output.lower()
    if "exec format error" in low:
        return ConfigError(
            f"{failed}: this machine cannot run programs of the platform asked for. Build "
            "it on a machine of that kind, or set up emulation (binfmt, qemu-user-static). The end of the output:\n"
            f"{end}"
        )
    if "pull access denied" in low or "manifest unknown" in low or f"{parent.lower()}: not found" in low:
        return ConfigError(
            f"package.base_image: {parent} is neither in the engine nor in its registry, or `docker login` is needed. "
            f"The end of the output:\n{end}"
        )
    if any(word in low for word in _OUTSIDE):
        return UnavailableError(
            f"{failed}: the engine, the registry of {parent} or the index of packages did "
            "not answer, or a disk is full. A private index, its certificates and a proxy are given by "
            f"package.secrets and HTTPS_PROXY. The end of the output:\n{end}"
        )
    return ConfigError(f"{failed}. The end of the output:\n{end}")
