"""What Airflow shows of a DAG to people: Markdown with what it does, about what, and where to look further."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from datadriver.config.fleet import Asset, Instance
from datadriver.config.sections import UseCase
from datadriver.config.slugs import slug
from datadriver.tracking.database import without_credentials
from datadriver.tracking.names import registered_name
from datadriver.tracking.records import Key

_SHOWN = 20

SAYS = {
    "release": "Makes challengers that pass the gate champions, all in one release that `datadriver rollback` takes "
    "back.",
    "monitor": "Judges data and models of the fleet, sends messages, asks for training and writes the report.",
    "base": "Builds the image that all others are made from; run it after a change of code or requirements.",
}
"""What the DAGs of the whole use case do."""


def urls(usecase: UseCase) -> Mapping[str, str]:
    """Return where people look, where that is known: `airflow`, `mlflow`, `report`, none ending in a slash."""
    given = usecase.schedule.urls
    tracking = without_credentials(usecase.tracking.uri)
    mlflow = given.mlflow or (tracking if tracking.startswith(("http://", "https://")) else None)
    found = {"airflow": given.airflow, "mlflow": mlflow, "report": given.report}
    return {name: url.rstrip("/") for name, url in found.items() if url}


@dataclass(frozen=True)
class Texts:
    """Writes the texts of one use case."""

    usecase: str
    urls: Mapping[str, str]
    _pages: dict[Key, str] = field(default_factory=dict)

    def of_train(self, units: Sequence[str], assets: Sequence[Asset], instances: Sequence[Instance]) -> str:
        """Describe a training DAG."""
        what = f"Trains {self._models(instances)} of {_named(units, 'unit')}."
        return self._page(what, assets, instances, ["train", "--units", *units])

    def of_score(self, assets: Sequence[Asset], instances: Sequence[Instance]) -> str:
        """Describe a scoring DAG."""
        ids = [asset.id for asset in assets]
        what = f"Scores {_named(ids, 'asset')} with the champions of {self._models(instances)}."
        return self._page(what, assets, instances, ["score", "--assets", *ids])

    def of_usecase(self, kind: str) -> str:
        """Describe a DAG of the whole use case."""
        links = [f"[Report]({self.urls['report']}/index.html)"] if "report" in self.urls else []
        if "mlflow" in self.urls:
            links.append(f"[MLflow]({self.urls['mlflow']}/#/models)")
        return "\n\n".join(part for part in (SAYS[kind], " · ".join(links)) if part)

    def _page(self, what: str, assets: Sequence[Asset], instances: Sequence[Instance], command: Sequence[str]) -> str:
        attributes = ", ".join(f"{name} {code(value)}" for name, value in shared(assets).items())
        by_hand = f"By hand: {code(shlex.join(['datadriver', *command]))}" if len(command) == 3 else ""
        found = (what, attributes, " · ".join(self._links(assets, instances)), by_hand)
        return "\n\n".join(part for part in found if part)

    def _links(self, assets: Sequence[Asset], instances: Sequence[Instance]) -> Iterable[str]:
        if "report" in self.urls:
            page = f"assets/{quote(slug(assets[0].id))}.html" if len(assets) == 1 else "index.html"
            yield f"[Report]({self.urls['report']}/{page})"
        if "mlflow" in self.urls:
            for one in instances[:_SHOWN]:
                label = one.model if len(assets) == 1 else one.key
                yield f"[Runs and versions of {_plain(label)}]({self._page_of(Key(one.unit.key, one.model))})"

    def _page_of(self, key: Key) -> str:
        """Return the address of an instance in MLflow, worked out once for all DAGs that it is in."""
        if key not in self._pages:
            name = quote(registered_name(self.usecase, key), safe="")
            self._pages[key] = f"{self.urls['mlflow']}/#/models/{name}"
        return self._pages[key]

    @staticmethod
    def _models(instances: Sequence[Instance]) -> str:
        return ", ".join(code(name) for name in dict.fromkeys(one.model for one in instances))


def shared(assets: Sequence[Asset]) -> Mapping[str, str]:
    """Return the attributes that all of the assets have with the same value, in alphabetical order."""
    first = assets[0].attributes
    return {
        name: str(first[name])
        for name in sorted(first)
        if first[name] is not None and all(asset.attributes.get(name) == first[name] for asset in assets[1:])
    }


def code(text: str) -> str:
    """Write a text of the plant on one line, so that nothing in it is Markdown.

    >>> code("a_b*c"), code("a`b")
    ('`a_b*c`', '`` a`b ``')
    """
    line = " ".join(text.split())
    return f"`` {line} ``" if "`" in line else f"`{line}`"


def _named(names: Sequence[str], noun: str) -> str:
    if len(names) == 1:
        return code(names[0])
    shown = ", ".join(code(name) for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{len(names):,} {noun}s: {shown}{more}"


def _plain(text: str) -> str:
    """Take out what would end the text of a link."""
    return text.replace("[", "(").replace("]", ")")
