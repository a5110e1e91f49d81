"""`dags doctor`: whether Airflow here will run a plan, what is a risk, and what to set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datadriver.errors import UnavailableError
from datadriver.orchestration.advice import Finding, Needs, advise
from datadriver.orchestration.airflow.settings import Facts, Request, ask
from datadriver.orchestration.plan import DagPlan, Header

_SHOWN = 5


@dataclass(frozen=True)
class Diagnosis:
    """What was found, the gravest first.

    Attributes:
        folder: of the plan.
        versions: of Airflow, its providers and datadriver.
        findings: each with its advice.
        dags: in the plan.
        unreachable: why Airflow's database could not be asked.
    """

    folder: Path
    versions: Mapping[str, str]
    findings: Sequence[Finding]
    dags: int
    unreachable: str | None = None

    @property
    def exit_code(self) -> int:
        """Return 0 where nothing is wrong, 5 where the database does not answer, else 2."""
        if self.unreachable:
            return UnavailableError.exit_code
        return 2 if any(one.state == "wrong" for one in self.findings) else 0


def examine(folder: Path, expected: Mapping[str, str], dags: Path) -> Diagnosis:
    """Compare the plan with what it should be, ask Airflow how it is set, and say what follows.

    Args:
        folder: of the plan.
        expected: path in that folder: text, of all files that a build would write now.
        dags: the folder that Airflow has to look at.

    Raises:
        MissingExtraError: Airflow is not installed here.
        UnavailableError: Airflow does not start.
    """
    texts = {name: _text(folder / name) for name in sorted(expected) if name.endswith(".jsonl")}
    needs = needs_of([text for text in texts.values() if text is not None])
    files = [str(path) for name in texts if (path := (folder / name).with_suffix(".py")).exists()]
    facts = ask(Request(files, needs.connections, needs.variables))
    findings = [*_plan(folder, expected), *_place(facts, dags), *_parsing(facts, folder), *advise(facts, needs)]
    order = ("wrong", "risk", "right")
    findings.sort(key=lambda one: order.index(one.state))
    return Diagnosis(folder, facts.versions, findings, needs.dags, facts.database.error)


def needs_of(texts: Sequence[str]) -> Needs:
    """Read what the files of a plan ask of Airflow."""
    headers, plans, most = [], [], 0
    for text in texts:
        first, *lines = text.splitlines()
        headers.append(Header.of(first))
        plans += [DagPlan.of(line) for line in lines]
        most = max(most, len(lines))
    secrets = [value for one in headers for value in one.environment.values() if not isinstance(value, str)]
    registries = [name for one in headers if (name := one.settings.get("connection"))]
    return Needs(
        runtimes=sorted({one.runtime for one in headers}),
        pools=sorted({one.limits.pool for one in plans if one.limits.pool}),
        connections=sorted({*(one["connection"] for one in secrets if one.get("connection")), *registries}),
        variables=sorted({one["variable"] for one in secrets if one.get("variable")}),
        teams=sorted({one.team for one in plans if one.team}),
        dags=len(plans),
        largest_file=most,
    )


def _plan(folder: Path, expected: Mapping[str, str]) -> Iterator[Finding]:
    present = {name: _text(folder / name) for name in expected}
    absent = [name for name, text in present.items() if text is None]
    stale = [name for name, text in present.items() if text is not None and text != expected[name]]
    if len(absent) == len(expected):
        yield Finding("wrong", "plan", f"there is none in {folder}", "datadriver dags build writes it")
    elif absent or stale:
        said = [f"{_some(absent)} not there"] * bool(absent) + [f"{_some(stale)} not as now built"] * bool(stale)
        yield Finding("wrong", "plan", ", ".join(said), "usecase.yaml or the fleet changed: datadriver dags build")
    else:
        yield Finding("right", "plan", f"{len(expected)} files, as a build would write them")


def _place(facts: Facts, dags: Path) -> Iterator[Finding]:
    folders = {name: Path(path).resolve() for name, path in facts.bundles.items() if path}
    inside = [name for name, path in folders.items() if dags.resolve().is_relative_to(path)]
    elsewhere = [name for name, path in facts.bundles.items() if path is None]
    if inside:
        yield Finding("right", "dag bundle", f"{inside[0]} has {dags}")
    elif elsewhere:
        why = "it is not a folder of this machine: see that the plan is committed where it comes from"
        yield Finding("risk", "dag bundle", ", ".join(elsewhere), why)
    else:
        seen = ", ".join(map(str, folders.values())) or "nothing"
        advice = f"core.dags_folder={dags}, or a bundle of its own in dag_processor.dag_bundle_config_list"
        yield Finding("wrong", "dag bundle", f"Airflow looks into {seen}, and not into {dags}", advice)


def _parsing(facts: Facts, folder: Path) -> Iterator[Finding]:
    broken = [one for one in facts.parsed if one.error]
    for one in broken[:_SHOWN]:
        name = Path(one.path).relative_to(folder)
        yield Finding("wrong", "parsing", f"{name}: {one.error}", "no DAG of that file is there before it is mended")
    if len(broken) > _SHOWN:
        yield Finding("wrong", "parsing", f"{len(broken) - _SHOWN} more files with errors", "mend the first")
    if facts.parsed and not broken:
        dags, seconds = sum(one.dags for one in facts.parsed), sum(one.seconds for one in facts.parsed)
        yield Finding("right", "parsing", f"{len(facts.parsed)} files with {dags} DAGs in {seconds:.1f} s")


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
