"""Which distributions the base image holds, in exact versions: those that are installed here and needed there."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from datadriver.config.overrides import apply
from datadriver.config.sections import Contract, UseCase
from datadriver.errors import ConfigError
from datadriver.images.wheel import OURS, Wheel

_GX = "great-expectations"
_NOT_INSIDE = {
    OURS: {"cookiecutter", _GX, "matplotlib"},
    # Its server, its projects and its plots; MLflow's client trains without them.
    "mlflow": {
        "aiohttp",
        "docker",
        "flask",
        "flask-cors",
        "graphene",
        "gunicorn",
        "huey",
        "matplotlib",
        "waitress",
    },
}
"""Direct needs of these distributions that nothing in an image imports."""
_WHERE_INSTALLED = ("cloud", "notify", "postgres")
"""Extras that come along where they are installed: which of them are needed may stand in the environment."""


def requirements(usecase: UseCase, root: Path, ours: Wheel | None) -> str:
    """Return the text of `package.requirements`, or where there is no such file, the versions that are installed.

    Raises:
        ConfigError: something that is needed is not installed, or cannot be had from an index.
    """
    path = root / usecase.package.requirements
    return path.read_text("utf-8") if path.is_file() else pins(usecase, root, ours)


def pins(usecase: UseCase, root: Path, ours: Wheel | None) -> str:
    """Return `name==version` of all that the use case and datadriver need in an image, dependencies included."""
    lines: list[str] = []
    problems: list[str] = []
    found, missing = _closure(usecase, root, ours)
    for name, dist in sorted(found.items()):
        try:
            lines.append(_pin(name, dist))
        except ConfigError as error:
            problems += error.problems
    problems += [f"{name}: {who} needs it, and it is not installed here" for name, who in sorted(missing.items())]
    if problems:
        raise ConfigError(
            [
                *problems,
                f"the base image holds what is installed here; mend that, or write {usecase.package.requirements}",
            ]
        )
    return "".join(f"{line}\n" for line in lines if line)


def needs_expectations(usecase: UseCase, root: Path) -> bool:
    """Whether a contract of the use case holds an expectation that Great Expectations has to judge itself."""
    from datadriver.data.contract.compiled.plan import plan_of  # noqa: PLC0415 - pandas
    from datadriver.data.contract.suite import load_suite  # noqa: PLC0415

    suites = (load_suite(contract, root) for contract in _contracts(usecase))
    return any(suite is not None and plan_of(suite).left for suite in suites)


def _contracts(usecase: UseCase) -> Iterator[Contract]:
    yield usecase.contract
    for place, override in enumerate(usecase.overrides):
        if any(path.split(".")[0] == "contract" for path in override.set):
            yield apply(usecase, {place: override}).contract


def _closure(usecase: UseCase, root: Path, ours: Wheel | None) -> tuple[dict[str, Distribution], dict[str, str]]:
    """Return the distributions by name, and what is missing with who needs it."""
    inside = {_GX} if needs_expectations(usecase, root) else set()
    known = {OURS: ours.requires if ours else distribution(OURS).requires or ()}
    found: dict[str, Distribution] = {}
    missing: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(usecase.name, one) for one in (*_declared(root), _ourselves(known[OURS]))]
    while waiting:
        who, wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in _NOT_INSIDE.get(who, set()) - inside:
            continue
        for extra in ("", *sorted(wanted.extras)):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                found[name] = distribution(name)
            except PackageNotFoundError:
                missing[name] = who
                continue
            waiting += [(name, one) for one in _needs(known.get(name, found[name].requires or ()), extra)]
    return found, missing


def _ourselves(requires: Iterable[str]) -> Requirement:
    """Return datadriver with the extras that an image has."""
    extras = ["serve", *(extra for extra in _WHERE_INSTALLED if _installed(requires, extra))]
    return Requirement(f"{OURS}[{','.join(extras)}]")


def _installed(requires: Iterable[str], extra: str) -> bool:
    added = {one.name for one in _needs(requires, extra)} - {one.name for one in _needs(requires, "")}
    return bool(added) and all(_is_installed(name) for name in added)


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _needs(requires: Iterable[str], extra: str) -> list[Requirement]:
    wanted = map(Requirement, requires)
    return [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": extra})]


def _declared(root: Path) -> list[Requirement]:
    """Return what the use case's `pyproject.toml` asks for."""
    path = root / "pyproject.toml"
    try:
        project: dict[str, Any] = tomllib.loads(path.read_text("utf-8")).get("project", {})
        wanted = [Requirement(text) for text in project.get("dependencies", ())]
    except FileNotFoundError:
        raise ConfigError(
            f"there is no pyproject.toml in {root}: the base image installs the use case from it. Copy one from a new "
            "use case (`datadriver new`)"
        ) from None
    except (tomllib.TOMLDecodeError, InvalidRequirement, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return [one for one in wanted if one.marker is None or one.marker.evaluate()]


def _pin(name: str, dist: Distribution) -> str:
    """Return one line of requirements; none for datadriver that comes as a wheel."""
    origin = json.loads(dist.read_text("direct_url.json") or "{}")
    if not origin:
        return f"{name}=={dist.version}"
    if name == OURS:
        return ""
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return f"{name} @ {vcs['vcs']}+{origin['url']}@{vcs['commit_id']}"
    if origin["url"].startswith("file:"):
        raise ConfigError(f"{name}: it was installed from {origin['url']}, which a build does not see")
    return f"{name} @ {origin['url']}"
