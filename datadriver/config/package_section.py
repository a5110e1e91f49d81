"""The section `package` of `usecase.yaml`: how models become images, and where those go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from datadriver.config.section import Section

PREFIX = r"^[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*$"


class BuildSecrets(Section):
    """Files that the build of the base image sees and that stay out of its layers; relative to the use case."""

    pip: str | None = None
    """A `pip.conf`, for a private index with its credentials."""
    certificates: str | None = None
    """A bundle of CA certificates (PEM), for an index or a proxy with a certificate of the company's own."""


class Package(Section):
    """How models become images."""

    per: Literal["model", "asset"] = "model"
    """One image per model, or one per asset with all of its models."""
    base_image: str = "python:3.11-slim"
    """Parent of the use case's base image: Debian or like it, with Python 3.11 or later."""
    dockerfile: str = "Dockerfile"
    """What the use case's base image is built from."""
    requirements: str = "requirements.lock"
    """Exact versions for the base image, with hashes or without; where the file is absent, those that are installed."""
    registry: str | None = None
    """Registry to push to: `host[:port]`; plain HTTP is spoken to localhost only."""
    prefix: Annotated[str, Field(pattern=PREFIX)] | None = None
    """First part of every image's name, `fleet/pumps`; default: the use case's name."""
    platform: str | None = None
    """What images run on, `linux/arm64`; default: what the base image is made for."""
    network: str | None = None
    """Network of the build, `host` where an index or a proxy is reached from this machine only; default: Docker's."""
    secrets: BuildSecrets = BuildSecrets()
    """What the build sees and the image does not hold."""
    keep: Annotated[int, Field(ge=1)] = 3
    """So many images of each name stay when old ones are pruned; those of champions always do."""
