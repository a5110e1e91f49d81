"""From a use case and its fleet to the DAGs: for each asset one that trains and one that scores, and those of them all.

Nothing here depends on the order of the fleet table, the clock or the machine, so that the same fleet makes the same
plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from datadriver.config.fleet import Asset, Instance
from datadriver.config.resolve import attributes_of, resolve
from datadriver.config.schedule_section import Secret
from datadriver.config.sections import UseCase
from datadriver.config.slugs import slug
from datadriver.data.fleet_check import schedule_problems
from datadriver.errors import ConfigError
from datadriver.orchestration.ids import dag_id, subject_slug
from datadriver.orchestration.plan import RUN, DagKind, DagPlan, Header, TaskPlan
from datadriver.orchestration.terms import Terms, together
from datadriver.orchestration.texts import Texts, shared, urls
from datadriver.orchestration.use_case_dags import use_case_dags

_LONGEST_ID = 250
_LONGEST_TAG = 100


def plan_dags(usecase: UseCase, assets: Sequence[Asset], instances: Sequence[Instance]) -> tuple[DagPlan, ...]:
    """Return every DAG of a use case, sorted by id.

    Assets without a model have none; assets that only share models are scored by a DAG of their own and trained by
    those of their units.

    Args:
        usecase: before overrides.
        assets: the whole fleet.
        instances: all of them, as `expand` gives them.

    Raises:
        ConfigError: an attribute that the schedule asks for is missing, or assets of one group are to run differently.
    """
    if problems := tuple(schedule_problems(usecase, assets)):
        raise ConfigError(problems)
    fleet = _Fleet(usecase, Texts(usecase.name, urls(usecase)))
    found = [dag for subject in _subjects(usecase, assets, instances) for dag in fleet.dags_of(subject)]
    found += use_case_dags(usecase, instances)
    _require_legal(found)
    return tuple(sorted(found, key=lambda dag: dag.dag_id))


def header(usecase: UseCase, folder: str, env: str | None) -> Header:
    """Return what all DAGs of a use case share; `folder` is where workers have it."""
    schedule = usecase.schedule
    return Header(
        usecase=usecase.name,
        folder=folder,
        env=env,
        runtime=schedule.runtime,
        settings=getattr(schedule, schedule.runtime).model_dump(mode="json"),
        environment={name: _kept(value) for name, value in sorted(schedule.environment.items())},
        urls=urls(usecase),
    )


def _kept(value: str | Secret) -> str | Mapping[str, str]:
    return value if isinstance(value, str) else value.model_dump(exclude_none=True)


@dataclass(frozen=True)
class _Subject:
    """What a pair of DAGs is about: an asset, a group of them, or a pooled unit, which is trained only.

    `trained` are the instances that its training fits, `scored` those that its scoring uses.
    """

    name: str
    slug: str
    assets: tuple[Asset, ...]
    trained: Sequence[Instance] = ()
    scored: Sequence[Instance] = ()
    pooled: bool = False

    @property
    def ids(self) -> list[str]:
        return [asset.id for asset in self.assets]

    @property
    def several(self) -> bool:
        return len(self.assets) > 1

    @property
    def units(self) -> list[str]:
        return list(dict.fromkeys(one.unit.key for one in self.trained))


def _subjects(usecase: UseCase, assets: Sequence[Asset], instances: Sequence[Instance]) -> Iterator[_Subject]:
    own: dict[str, list[Instance]] = {}
    scored: dict[str, list[Instance]] = {}
    pooled: dict[str, list[Instance]] = {}
    for one in instances:
        (pooled if one.unit.pooled else own).setdefault(one.unit.key, []).append(one)
        for asset in one.unit.assets:
            scored.setdefault(asset.id, []).append(one)
    for key, some in pooled.items():
        joined = {asset.id: asset for one in some for asset in one.unit.assets}
        yield _Subject(key, subject_slug(key, pooled=True), _sorted(joined.values()), trained=some, pooled=True)
    for name, members in _groups(usecase, [asset for asset in assets if asset.id in scored]).items():
        trained = [one for asset in members for one in own.get(asset.id, ())]
        used = {one.key: one for asset in members for one in scored[asset.id]}
        yield _Subject(name, subject_slug(name), members, trained=trained, scored=list(used.values()))


def _groups(usecase: UseCase, assets: Sequence[Asset]) -> Mapping[str, tuple[Asset, ...]]:
    name = usecase.schedule.group
    groups: dict[str, list[Asset]] = {}
    for asset in assets:
        groups.setdefault(asset.id if name == "asset" else str(attributes_of(asset)[name]), []).append(asset)
    return {key: _sorted(members) for key, members in groups.items()}


def _sorted(assets: Iterable[Asset]) -> tuple[Asset, ...]:
    return tuple(sorted(assets, key=lambda asset: asset.id))


@dataclass(frozen=True)
class _Fleet:
    """Makes the DAGs of subjects; what the assets of a cohort have in common is worked out once."""

    usecase: UseCase
    texts: Texts
    _terms: dict[frozenset[int], tuple[Sequence[UseCase], Terms]] = field(default_factory=dict)

    def dags_of(self, subject: _Subject) -> Iterator[DagPlan]:
        """Yield what trains and what scores a subject."""
        terms = self._terms_of({id(one): one for one in (resolve(self.usecase, asset) for asset in subject.assets)})
        if subject.trained:
            yield self._dag("train", subject, terms)
        if subject.scored:
            yield self._dag("score", subject, terms)

    def _terms_of(self, cohorts: Mapping[int, UseCase]) -> Terms:
        key = frozenset(cohorts)
        if key not in self._terms:  # with the use cases, so that no other objects get their ids
            found = list(cohorts.values())
            self._terms[key] = found, together(self.usecase, found)
        return self._terms[key][1]

    def _dag(self, kind: DagKind, subject: _Subject, terms: Terms) -> DagPlan:
        schedule, training = terms.schedule, kind == "train"
        trigger = terms.trigger(
            self.usecase.name,
            subject.slug,
            schedule.train if training else schedule.score,
            assets=subject.assets,
            units=subject.units if training else (),
        )
        if training:
            doc = self.texts.of_train(subject.units, subject.assets, subject.trained)
        else:
            doc = self.texts.of_score(subject.assets, subject.scored)
        return DagPlan(
            dag_id=dag_id(self.usecase.name, kind, subject.slug),
            kind=kind,
            subject=subject.name,
            trigger=trigger,
            tasks=_training(subject, terms) if training else _scoring(subject, terms, self.usecase),
            assets=subject.ids,
            limits=terms.limits,
            owner=schedule.owner,
            tags=_tags(self.usecase, kind, subject, terms),
            doc=doc,
            team=self._team(subject),
            start=schedule.start.isoformat(),
            catchup=schedule.catchup,
            paused=schedule.paused,
        )

    def _team(self, subject: _Subject) -> str | None:
        """Return the team of all of the assets; a unit that several teams share is nobody's own."""
        if self.usecase.schedule.team is None:
            return None
        return shared(subject.assets).get(self.usecase.schedule.team)


def _training(subject: _Subject, terms: Terms) -> tuple[TaskPlan, ...]:
    """Return validation and training; one asset that is rejected must not stop others, which training judges again."""
    until, network = terms.span("until"), terms.sources or terms.stores
    units = ("train", *_each("--units", subject.units))
    if subject.pooled:
        return (TaskPlan("train", command=units, span=until, network=network),)
    return (
        TaskPlan("validate", command=("validate", *_each("--assets", subject.ids)), span=until, network=network),
        TaskPlan("train", command=units, span=until, network=network, after=("validate",), always=subject.several),
    )


def _scoring(subject: _Subject, terms: Terms, usecase: UseCase) -> tuple[TaskPlan, ...]:
    """Return the one task of scoring, one for each image, or contract, scores and publication apart."""
    span, network = terms.span("interval"), terms.sources or terms.stores
    assets = tuple(_each("--assets", subject.ids))
    if terms.schedule.steps == "joined":
        in_images = _uses_images(usecase)
        command = ("score", *(("--publish",) if in_images else ()), *assets)
        score = TaskPlan("score", command=command, span=span, network=network)
        return tuple(_per_image(score, subject, usecase)) if in_images else (score,)
    staged = f".datadriver/staged/{subject.slug}/{RUN}"
    judge = ("validate", "--stage", "score", *assets)
    score = TaskPlan(
        "score",
        command=("score", *assets, "--out", staged),
        span=span,
        network=terms.sources,
        after=("contract",),
        always=subject.several,
    )
    scores = tuple(_per_image(score, subject, usecase)) if _uses_images(usecase) else (score,)
    return (
        TaskPlan("contract", command=judge, span=span, network=network),
        *scores,
        TaskPlan(
            "publish",
            command=("publish", staged),
            network=terms.stores,
            after=tuple(one.id for one in scores),
            always=subject.several,
        ),
    )


def _uses_images(usecase: UseCase) -> bool:
    """Tell whether scoring runs in images of models: in containers, for one asset a DAG."""
    return usecase.schedule.runtime != "process" and usecase.schedule.group == "asset"


def _per_image(score: TaskPlan, subject: _Subject, usecase: UseCase) -> Iterator[TaskPlan]:
    """Yield the task for the image of the asset, or one for the image of each of its models."""
    if usecase.package.per == "asset":
        yield replace(score, image="model")
        return
    for one in subject.scored:
        name = slug(one.model)
        command = tuple(f"{part}/{name}" if RUN in part else part for part in score.command)
        yield replace(score, id=f"score.{name}", command=command, image="model", model=one.model)


def _each(option: str, names: Sequence[str]) -> Iterator[str]:
    """Repeat an option, as a name may have a comma."""
    for name in names:
        yield from (option, name)


def _tags(usecase: UseCase, kind: DagKind, subject: _Subject, terms: Terms) -> list[str]:
    """Return use case, kind, runtime and the cohort: the chosen attributes that all of the assets share."""
    values = shared(subject.assets)
    cohort = (f"{name}={values[name]}" for name in terms.schedule.tags if name in values)
    found = {" ".join(tag.split()) for tag in (usecase.name, kind, usecase.schedule.runtime, *cohort)}
    return sorted(tag if len(tag) <= _LONGEST_TAG else slug(tag, max_length=_LONGEST_TAG) for tag in found)


def _require_legal(dags: Sequence[DagPlan]) -> None:
    """Check what follows from how names are made, before Airflow does."""
    count = Counter(dag.dag_id for dag in dags)
    problems = [
        f"two DAGs would have the id {name!r}; rename one of them" for name, times in count.items() if times > 1
    ]
    problems += [
        f"the id {name!r} has {len(name)} characters, and Airflow allows {_LONGEST_ID}"
        for name in count
        if len(name) > _LONGEST_ID
    ]
    if problems:
        raise ConfigError(problems)
