"""The files of a plan: few, with many DAGs each, and touched only where something in them changed."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datadriver.config.sections import UseCase
from datadriver.config.slugs import slug
from datadriver.errors import ConfigError, UnavailableError
from datadriver.orchestration.ids import file_stem, stable_number
from datadriver.orchestration.plan import DagPlan, Header

PLAN, LOADER = ".jsonl", ".py"
SHARED = "_shared"
"""Folder of the DAGs that are no team's, where others are; no slug of a team starts like that."""

_LOADS = "datadriver.orchestration.airflow.loader"
_USUAL = f'''\
"""Airflow: the DAGs of the plan beside this file, by `datadriver dags build`, which copies it there."""

from {_LOADS} import load

globals().update(load(__file__))
'''


@dataclass(frozen=True)
class Written:
    """What a build did to the files of a plan, by paths relative to its folder.

    Attributes:
        folder: of the plan.
        written: plans that are new or have changed; each has its loader beside it.
        unchanged: plans that stayed, and were not touched.
        removed: plans of which no DAG is left.
    """

    folder: Path
    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


def loader_text(usecase: UseCase, root: Path) -> str:
    """Return the loader of the use case, of which every plan has a copy beside it.

    Raises:
        ConfigError: `dags/<usecase>.py` is something else.
        UnavailableError: it cannot be read.
    """
    path = root / "dags" / f"{usecase.name}{LOADER}"
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return _USUAL
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8, which Python's files are in: {error}") from error
    if _LOADS not in text:
        raise ConfigError(
            f"{path} does not load the plan, and a copy of it would stand beside each of its files. Move what it does "
            f"to another file, and write here:\n{_USUAL}"
        )
    return text


def plan_files(usecase: UseCase, header: Header, dags: Sequence[DagPlan], loader: str) -> Mapping[str, str]:
    """Return the text of each file of a plan by its path relative to the folder of the plan.

    Args:
        usecase: before overrides.
        header: with the folder of the use case as seen from the folder of the plan.
        dags: sorted by id.
        loader: what stands beside each of them.
    """
    stems: dict[str, list[DagPlan]] = {}
    for dag in dags:
        stems.setdefault(_stem(usecase, dag), []).append(dag)
    files: dict[str, str] = {}
    for stem, some in sorted(stems.items()):
        folder = header.folder if "/" not in stem or header.folder.startswith("/") else f"../{header.folder}"
        lines = [replace(header, folder=folder).to_line(), *(dag.to_line() for dag in some)]
        files[stem + PLAN] = "\n".join(lines) + "\n"
        files[stem + LOADER] = loader
    return files


def _stem(usecase: UseCase, dag: DagPlan) -> str:
    """Return the path, without suffix, of the file that a DAG is in; it depends on its subject alone.

    Where there are teams, each has a folder, and so have the DAGs that are no team's: folders are bundles of Airflow's,
    and a bundle has all that is below its own.
    """
    schedule = usecase.schedule
    shard = stable_number((usecase.name, dag.subject), schedule.shards) if dag.assets else None
    name = file_stem(usecase.name, shard, shards=schedule.shards)
    return name if schedule.team is None else f"{slug(dag.team) if dag.team else SHARED}/{name}"


def write_files(usecase: UseCase, files: Mapping[str, str], out: Path) -> Written:
    """Bring a folder to what a plan says: whole files, changed ones only, and none of this use case that is not in it.

    A loader is newer than its plan, as Airflow looks again at Python files that changed and at no others. A build that
    was killed is finished by the next one.

    Raises:
        ConfigError: a file of that name belongs to another use case.
        UnavailableError: the folder cannot be written.
    """
    wanted = sorted(name.removesuffix(PLAN) for name in files if name.endswith(PLAN))
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _alone(out):
            there = dict(present(out, usecase.name))
            _require_own(usecase, wanted, there, out)
            changed = [stem for stem in wanted if _bring(out, stem, files)]
            removed = sorted(stem for stem, owner in there.items() if owner == usecase.name and stem not in wanted)
            for stem in removed:
                (out / (stem + LOADER)).unlink(missing_ok=True)
                (out / (stem + PLAN)).unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(f"the plan cannot be written to {out}: {error.strerror or error}") from error
    unchanged = [stem for stem in wanted if stem not in set(changed)]
    return Written(out, *(tuple(stem + PLAN for stem in stems) for stems in (changed, unchanged, removed)))


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Wait for another build of the same folder; where the file system cannot tell, go on."""
    import fcntl  # noqa: PLC0415 - not on every system, but on every one that Airflow runs on

    folder = os.open(out, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _bring(out: Path, stem: str, files: Mapping[str, str]) -> bool:
    plan, loader = out / (stem + PLAN), out / (stem + LOADER)
    changed = _differs(plan, files[stem + PLAN])
    if changed:
        plan.parent.mkdir(parents=True, exist_ok=True)
        _put(plan, files[stem + PLAN])
    if changed or _differs(loader, files[stem + LOADER]) or loader.stat().st_mtime_ns < plan.stat().st_mtime_ns:
        _put(loader, files[stem + LOADER])
        changed = True
    return changed


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() != text.encode()
    except FileNotFoundError:
        return True


def _put(path: Path, text: str) -> None:
    """Write a file that nobody ever sees in part."""
    draft = path.with_name(f".{path.name}.draft")  # a name that Airflow passes over
    draft.write_bytes(text.encode())
    draft.replace(path)


def present(out: Path, usecase: str) -> Iterator[tuple[str, str]]:
    """Yield the path, without suffix, of each file in a plan's folder that has such a name, and whose plan it is."""
    name = re.compile(rf"{re.escape(usecase)}(_\d{{2,}})?{re.escape(PLAN)}")
    for folder in (out, *(entry for entry in (out.iterdir() if out.is_dir() else ()) if entry.is_dir())):
        for path in folder.iterdir() if folder.is_dir() else ():
            if name.fullmatch(path.name):
                yield path.relative_to(out).as_posix().removesuffix(PLAN), _owner(path)


def _owner(path: Path) -> str:
    with path.open("rb") as file:
        line = file.readline()
    try:
        return str(json.loads(line)["usecase"])
    except (ValueError, KeyError, TypeError):
        return ""


def _require_own(usecase: UseCase, wanted: Sequence[str], there: Mapping[str, str], out: Path) -> None:
    for stem in wanted:
        if there.get(stem, "") not in (usecase.name, ""):
            raise ConfigError(
                f"{out / (stem + PLAN)} is the plan of another use case, {there[stem]!r}: choose another folder with "
                "--out"
            )
