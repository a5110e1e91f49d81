"""Proposals: what the gate let through at one moment, so that what is approved later is that and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from datadriver.config.fleet import Instance
from datadriver.errors import ConfigError, nearest
from datadriver.tracking import queries, schema
from datadriver.tracking.images import packed_versions
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.liveness import now
from datadriver.tracking.records import Key, Version
from datadriver.tracking.refusals import Refusal, refusals, refuse
from datadriver.tracking.releases import Candidate

Approval = Literal["auto", "manual"]

_AT_ONCE = 500


@dataclass(frozen=True)
class ProposalItem:
    """One version that would become champion in the place of `previous`; `approval` is that of its model then."""

    unit: str
    model: str
    version: int
    previous: int | None
    approval: str
    reason: str

    @property
    def key(self) -> Key:
        """The instance."""
        return Key(self.unit, self.model)


@dataclass(frozen=True)
class Proposal:
    """What would be released; it never changes. `name` is whatever who made it calls it, several may have the same."""

    number: int
    name: str
    at: str
    items: tuple[ProposalItem, ...]

    def part(self, approval: Approval | None) -> tuple[ProposalItem, ...]:
        """Return the items of models with this approval, or all."""
        return tuple(one for one in self.items if approval in (None, one.approval))


def propose(
    ledger: Ledger, name: str, candidates: Sequence[Candidate], instances: Collection[Instance]
) -> Proposal | None:
    """Record those of the candidates that the gate lets through; None where there are none.

    Raises:
        ConfigError: the name could be mistaken for a number.
    """
    if not name or name.isdigit():
        raise ConfigError(f"a proposal cannot be called {name!r}: numbers stand for proposals already; add a word")
    approvals = {Key(one.unit.key, one.model): one.spec.promote.approval for one in instances}
    items = tuple(
        ProposalItem(*one.key, one.challenger, one.champion, approvals[one.key], one.reason)
        for one in candidates
        if one.promotes and one.challenger is not None
    )
    if not items:
        return None
    at, table = now(), schema.proposals
    with ledger.writing() as connection:
        number: int = connection.execute(table.insert().values(name=name, at=at).returning(table.c.id)).scalar_one()
        rows = [_row(number, one) for one in items]
        for start in range(0, len(rows), _AT_ONCE):
            connection.execute(schema.proposal_items.insert(), rows[start : start + _AT_ONCE])
    return Proposal(number, name, at, items)


def proposal(ledger: Ledger, said: str) -> Proposal:
    """Return a proposal by its number, or the newest of that name.

    Raises:
        ConfigError: there is none.
    """
    table, item = schema.proposals.c, schema.proposal_items
    chosen = table.id == int(said) if said.isdigit() else table.name == said
    with ledger.reading() as connection:
        header = connection.execute(sa.select(schema.proposals).where(chosen).order_by(table.id.desc())).first()
        if header is None:
            known = connection.execute(sa.select(table.name).order_by(table.id.desc()).limit(50)).scalars()
            raise ConfigError(f"there is no proposal {said!r}{nearest(said, known)}")
        rows = connection.execute(
            sa.select(item).where(item.c.proposal == header.id).order_by(item.c.model, item.c.unit)
        ).mappings()
        items = tuple(_item(dict(row)) for row in rows)
    return Proposal(header.id, header.name, header.at, items)


def proposed_versions(ledger: Ledger, found: Proposal) -> Mapping[Key, Version]:
    """Return the versions of a proposal."""
    item, table = schema.proposal_items.c, schema.versions.c
    same = sa.and_(item.unit == table.unit, item.model == table.model, item.version == table.version)
    statement = sa.select(schema.versions).join(schema.proposal_items, same).where(item.proposal == found.number)
    with ledger.reading() as connection:
        versions = [Version(**row) for row in connection.execute(statement).mappings()]
    return {version.key: version for version in versions}


def standing(
    ledger: Ledger,
    found: Proposal,
    instances: Collection[Instance],
    *,
    approval: Approval | None = None,
    packaged: bool = False,
) -> tuple[Candidate, ...]:
    """Say what of a proposal can be released now; it may be less than was proposed, and is never more.

    Args:
        ledger: Knows what has happened since.
        found: The proposal.
        instances: Those of the fleet that are asked for.
        approval: Only models that had this approval when it was made.
        packaged: Hold back versions without an image.
    """
    served, refused = queries.standings(ledger), refusals(ledger)
    images = packed_versions(ledger) if packaged else None
    chosen = {Key(one.unit.key, one.model) for one in instances}
    candidates = []
    for item in found.part(approval):
        current = served[item.key].version if item.key in served else None
        objection = _objection(item, current, refused.get((item.key, item.version)))
        if objection is None and item.key not in chosen:
            objection = "it is not in the fleet any more, or was not chosen"
        if objection is None and images is not None and (item.key, item.version) not in images:
            objection = f"version {item.version} has no image; `datadriver package` says why"
        candidates.append(Candidate(item.key, current, item.version, objection is None, objection or item.reason))
    return tuple(candidates)


def held_back(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return what was proposed and is neither to be released nor in service already."""
    return tuple(one for one in candidates if not one.promotes and one.challenger != one.champion)


def reject(ledger: Ledger, found: Proposal, *, approval: Approval | None = None, by: str, reason: str) -> int:
    """Refuse the versions of a proposal that are not in service by now; returns how many those are."""
    served = queries.standings(ledger)
    items = [one for one in found.part(approval) if one.key not in served or served[one.key].version != one.version]
    refuse(ledger, [Refusal(one.unit, one.model, one.version, by, reason) for one in items])
    return len(items)


def _objection(item: ProposalItem, current: int | None, refusal: Refusal | None) -> str | None:
    if current == item.version:
        return f"version {item.version} is champion already"
    if refusal is not None:
        return str(refusal)
    if current != item.previous:
        before, now_ = (f"version {one}" if one else "no version" for one in (item.previous, current))
        return f"{now_} serves now, and it was {before} when version {item.version} was proposed"
    return None


def _row(number: int, item: ProposalItem) -> dict[str, Any]:
    return {
        "proposal": number,
        "unit": item.unit,
        "model": item.model,
        "version": item.version,
        "previous_version": item.previous,
        "approval": item.approval,
        "reason": item.reason,
    }


def _item(row: Mapping[str, Any]) -> ProposalItem:
    names = ("unit", "model", "version", "previous_version", "approval", "reason")
    return ProposalItem(*(row[name] for name in names))
