"""Everything that can be found wrong with a use case without its data, all at once and in under a second.

Nothing of the use case's own code is imported, nor pandas, scikit-learn, Great Expectations or MLflow: see
docs/adr/0002-check-without-importing.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from datadriver.config.fleet import Asset
from datadriver.config.load import FILE, build, read_document
from datadriver.config.messages import Problem, sentence
from datadriver.config.overlays import overlay
from datadriver.config.resolve import expand, resolve
from datadriver.config.rules import cohort_problems, rule_problems
from datadriver.config.salvage import salvage, untouched
from datadriver.config.sections import GlobAssets, SourceAssets, SqlAssets, UseCase
from datadriver.config.variables import substitute_variables
from datadriver.data.assets import load_assets
from datadriver.data.contract import catalogue
from datadriver.data.contract.suite_check import frame_problems
from datadriver.data.fleet_check import fleet_problems
from datadriver.data.reference_check import reference_problems
from datadriver.errors import ConfigError, DatadriverError


def check(root: Path, env: str | None = None, variables: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return every mistake in a use case that can be found without data; none means that it is sound.

    Args:
        root: Folder with `usecase.yaml`.
        env: Environment to lay over the file; of the others only the keys and values without `${VAR}` are checked.
        variables: Values of `${VAR}`.

    Raises:
        UnavailableError: if the file system does not answer.
    """
    document = read_document(root)
    if document.problems:
        return document.problems
    usecase, problems = build(document.tree, env=env, variables=variables)
    problems += _other_environments(document.tree, env)
    if usecase is None:
        usecase, problems = _what_is_left(document.tree, env, variables, problems)
    said = [sentence(problem, document.lines) for problem in problems]
    if usecase is not None:
        changed = [problem.path for problem in problems]
        found = untouched(reference_problems(usecase, root), changed)
        said += [sentence(problem, document.lines) for problem in found]
        said += _beyond_the_file(usecase, root, changed)
    return tuple(dict.fromkeys(said))


def _what_is_left(
    tree: Mapping[str, object], env: str | None, variables: Mapping[str, str], problems: list[Problem]
) -> tuple[UseCase | None, list[Problem]]:
    """Go on with the use case that the mistakes leave, and add the rules that it breaks by itself."""
    try:
        chosen = overlay(tree, env)
    except ConfigError:
        chosen = dict(tree)
    filled, _ = substitute_variables({**chosen, "environments": {}}, variables)
    usecase, changed = salvage(filled)
    if usecase is None:
        return None, problems
    changed |= {problem.path for problem in problems}
    return usecase, [*problems, *untouched(rule_problems(usecase), changed)]


def _other_environments(tree: Mapping[str, object], env: str | None) -> list[Problem]:
    """Check the overlays that were not chosen, but for texts that wait for a variable."""
    environments = tree.get("environments")
    if not isinstance(environments, Mapping):
        return []
    problems: list[Problem] = []
    base = {problem.path for problem in build(tree, env=None, variables=_AnyVariable())[1]}
    for name in environments:
        if name == env:
            continue
        _, found = build(tree, env=name, variables=_AnyVariable())
        problems += [
            Problem(("environments", name, *problem.path), problem.text)
            for problem in found
            if problem.path not in base and not _waits(environments[name], problem.path)
        ]
    return problems


class _AnyVariable(dict[str, str]):
    """Stands for an environment in which every variable is set."""

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str)

    def get(self, key: str, default: object = None) -> str:  # noqa: ARG002
        return key.lower()


def _waits(tree: object, path: Sequence[str | int]) -> bool:
    for key in path:
        if isinstance(tree, Mapping):
            tree = tree.get(key)
    return isinstance(tree, str) and "${" in tree


def _beyond_the_file(usecase: UseCase, root: Path, changed: Sequence[tuple[str | int, ...]]) -> Iterator[str]:
    """Check the fleet table, the contract's suite, and the use case as each cohort has it."""
    assets: tuple[Asset, ...] = ()
    if _fleet_is_at_hand(usecase) and not any(path[:1] == ("fleet",) for path in changed):
        try:
            assets = load_assets(usecase, root)
        except DatadriverError as error:
            yield from error.message.splitlines()
    yield from _suite_problems(usecase, root)
    if not any(path[:1] == ("data",) for path in changed):
        yield from frame_problems(usecase, root)
    if not assets:
        return
    sections = {path[:2] for path in changed}
    try:
        yield from fleet_problems(usecase, assets)
        if not sections:
            yield from _cohort_problems(usecase, assets, root)
    except ConfigError as error:
        yield from error.problems


def _fleet_is_at_hand(usecase: UseCase) -> bool:
    """Tell whether the fleet can be listed quickly, without reading data, a database or running code."""
    where = usecase.fleet.assets
    if isinstance(where, SourceAssets):
        source = usecase.data.sources.get(where.source)
        return source is None or source.asset is None or "{asset_id}" in (source.path or "")
    if isinstance(where, (GlobAssets, SqlAssets)):
        return isinstance(where, GlobAssets)
    return not where.startswith("python:")


def _suite_problems(usecase: UseCase, root: Path) -> tuple[str, ...]:
    suite = usecase.contract.suite
    if suite is None:
        return ()
    return catalogue.problems(root / suite, usecase.contract.parameters, label=suite)


def _cohort_problems(usecase: UseCase, assets: Sequence[Asset], root: Path) -> Iterator[str]:
    """Check the use case once per combination of overrides that some asset has, and how assets make units."""
    by_id: dict[int, tuple[UseCase, Asset]] = {}
    for asset in assets:
        resolved = resolve(usecase, asset)
        by_id.setdefault(id(resolved), (resolved, asset))
    said = set(_suite_problems(usecase, root)) | {sentence(problem) for problem in rule_problems(usecase)}
    for resolved, asset in by_id.values():
        for text in [*map(sentence, cohort_problems(resolved)), *_suite_problems(resolved, root)]:
            if text not in said:
                said.add(text)
                yield f"{text} (as overrides have it for {asset.id})"
    if not expand(usecase, assets):
        yield f"{FILE}: no model's `where` matches any of the {len(assets)} assets, so there is nothing to train"
