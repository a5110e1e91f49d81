"""`dags doctor`: whether Airflow here will run a plan, what is a risk, and what to set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datadriver.errors import UnavailableError
from datadriver.orchestration.advice import Finding, Needs, advise
from datadriver.orchestration.airflow.settings import Facts, Request, ask
from datadriver.orchestration.fleet_dags import FleetDags
from datadriver.orchestration.plan import DagPlan, Header
from datadriver.orchestration.shards import LOADER, PLAN, present

_ORDER = ("wrong", "risk", "right")
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


def examine(dags: FleetDags) -> Diagnosis:
    """Compare the plan with what it should be, ask Airflow how it is set, and say what follows.

    Raises:
        ConfigError: the fleet cannot be scheduled as configured.
        MissingExtraError: Airflow is not installed here.
        UnavailableError: Airflow does not start.
    """
    folder, expected = dags.out.absolute(), dags.files()
    plans = [name for name in sorted(expected) if name.endswith(PLAN)]
    needs = needs_of([expected[name] for name in plans])
    loaders = [path for name in plans if (path := (folder / name).with_suffix(LOADER)).exists()]
    facts = ask(Request([str(path) for path in loaders], needs.connections, needs.variables))
    findings = [
        *_plan(folder, expected, [stem for stem, owner in present(folder, dags.usecase.name) if owner]),
        *_place(facts, [(folder / name).parent for name in plans]),
        *_parsing(facts, folder),
        *advise(facts, needs),
    ]
    findings.sort(key=lambda one: _ORDER.index(one.state))
    return Diagnosis(folder, facts.versions, findings, needs.dags, facts.database.error)


def needs_of(texts: Sequence[str]) -> Needs:
    """Return what the files of a plan ask of Airflow."""
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


def _plan(folder: Path, expected: Mapping[str, str], there: Sequence[str]) -> Iterator[Finding]:
    texts = {name: _text(folder / name) for name in expected}
    absent = [name for name, text in texts.items() if text is None]
    stale = [name for name, text in texts.items() if text is not None and text != expected[name]]
    gone = [stem + PLAN for stem in there if stem + PLAN not in expected]
    if len(absent) == len(expected):
        yield Finding("wrong", "plan", f"there is none in {folder}", "datadriver dags build writes it")
    elif absent or stale or gone:
        parts = {"not there": absent, "not as a build would write it now": stale, "of no DAG any more": gone}
        said = "; ".join(f"{_some(names)}: {word}" for word, names in parts.items() if names)
        yield Finding("wrong", "plan", said, "usecase.yaml, the fleet or datadriver changed: datadriver dags build")
    else:
        yield Finding("right", "plan", f"{len(expected)} files, as a build would write them")


def _place(facts: Facts, folders: Sequence[Path]) -> Iterator[Finding]:
    bundles = {name: Path(path).resolve() for name, path in facts.bundles.items() if path}
    seen = {name for name, path in bundles.items() if any(one.resolve().is_relative_to(path) for one in folders)}
    unseen = sorted({str(one) for one in folders if not any(one.resolve().is_relative_to(bundles[n]) for n in seen)})
    elsewhere = [name for name, path in facts.bundles.items() if path is None]
    if not unseen:
        yield Finding("right", "dag bundle", f"{_some(sorted(seen))} has the plan")
    elif elsewhere:
        why = "not a folder of this machine: see that the plan is where they come from"
        yield Finding("risk", "dag bundle", _some(elsewhere), why)
    else:
        looked = ", ".join(map(str, bundles.values())) or "nothing"
        advice = f"core.dags_folder={Path(unseen[0]).parent}, or a bundle in dag_processor.dag_bundle_config_list"
        yield Finding("wrong", "dag bundle", f"Airflow looks into {looked}, and not into {_some(unseen)}", advice)


def _parsing(facts: Facts, folder: Path) -> Iterator[Finding]:
    broken = [one for one in facts.parsed if one.error]
    for one in broken[:_SHOWN]:
        name = Path(one.path).relative_to(folder)
        yield Finding("wrong", "parsing", f"{name}: {one.error}", "none of its DAGs is there before that is mended")
    if len(broken) > _SHOWN:
        yield Finding("wrong", "parsing", f"{len(broken) - _SHOWN} more files with errors", "mend the first")
    if facts.parsed and not broken:
        dags, seconds = sum(one.dags for one in facts.parsed), sum(one.seconds for one in facts.parsed)
        yield Finding("right", "parsing", f"{dags} DAGs in {len(facts.parsed)} files, in {seconds:.1f} s")


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
