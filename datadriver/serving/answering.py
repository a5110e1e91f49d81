"""Documents in, answers out: what `/invocations` does, and with which status it says that it cannot."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from datadriver.errors import ContractBreach, DatadriverError, UnavailableError, UseCaseError
from datadriver.serving.app import Asked, Reply, problem
from datadriver.serving.documents import Request, Table, parse, records
from datadriver.serving.observed import Labels
from datadriver.serving.openapi import describe
from datadriver.serving.packaged import Package
from datadriver.serving.predict import answered
from datadriver.serving.settings import Limits
from datadriver.serving.stacking import PROOFS, Stack

_STATUS: Mapping[type[DatadriverError], int] = {ContractBreach: 422, UseCaseError: 500, UnavailableError: 503}
_Key = tuple[str, tuple[str, ...] | None]
_Shape = tuple[tuple[str, ...] | None, tuple[str, ...]]

logger = logging.getLogger("datadriver.serve")


class Answering:
    """What answers the scoring requests of a server.

    Requests of one row for the same asset and models are scored in one pass, where that gives what each would get
    alone; the others one after the other.
    """

    def __init__(self, package: Package, limits: Limits) -> None:
        self._package = package
        self._limits = limits
        self._stacks: dict[_Key, Stack | None] = {}
        self._proved: dict[_Shape, bool] = {}
        self._seen: dict[_Shape, deque[Table]] = {}  # lately, until they prove something

    @property
    def scorer(self) -> Answering:
        """Itself."""
        return self

    @property
    def labels(self) -> list[Labels]:
        """The models, for `/metrics`."""
        name = self._package.manifest.usecase
        return [
            {
                "usecase": name,
                "unit": one.packaged.unit,
                "model": one.packaged.model,
                "version": str(one.packaged.version),
                "role": one.packaged.role,
                "sha256": one.packaged.sha256,
            }
            for one in self._package.models
        ]

    def openapi(self) -> dict[str, Any]:
        """Describe the interface."""
        return describe(self._package)

    def replies(self, asked: Sequence[Asked]) -> Iterator[Mapping[int, Reply]]:
        """Answer requests: those that share a pass in one part, those that are scored alone each in its own."""
        stacks: dict[tuple[_Key, tuple[str, ...]], dict[int, Table]] = {}
        requests: dict[int, Request] = {}
        alone: list[int] = []
        for place, one in enumerate(asked):
            try:
                requests[place] = self._parsed(one)
                key, table = self._stack_of(requests[place]), requests[place].only
            except DatadriverError as error:
                yield {place: refusal(error)}
                continue
            if key is None or table is None:
                alone.append(place)
            else:
                stacks.setdefault((key, table.columns), {})[place] = table
        for (key, _), tables in stacks.items():
            found = self._together(key, tables)
            alone += [place for place, reply in found.items() if reply is None]
            yield {place: reply for place, reply in found.items() if reply is not None}
        for place in sorted(alone):
            yield {place: self._alone(requests[place])}

    def _parsed(self, asked: Asked) -> Request:
        request = parse(asked.body, asked.content_type, asked.query)
        if request.rows > self._limits.rows:
            raise TooLargeError(f"{request.rows:,} rows are more than {self._limits.rows:,}; send fewer at a time")
        return request

    def _stack_of(self, request: Request) -> _Key | None:
        """Return for which asset and models a request is, if it can be scored together with others."""
        table = request.only
        if table is None or len(table.data) != 1 or request.start is not None or request.end is not None:
            return None
        asset = self._package.asset(request.asset)
        key = asset.id, request.models
        if key not in self._stacks:
            self._stacks[key] = Stack.of(self._package, asset, self._package.models_of(asset, request.models))
        return None if self._stacks[key] is None else key

    def _together(self, key: _Key, asked: Mapping[int, Table]) -> dict[int, Reply | None]:
        """Score requests in one pass; None for those that have to be scored alone."""
        stack, tables = self._stacks[key], list(asked.values())
        nothing: dict[int, Reply | None] = dict.fromkeys(asked)
        if stack is None or not self._is_proved(stack, key, tables):
            return nothing
        try:
            scored = stack.score(tables)
        except DatadriverError:  # one of them has what a function of the use case cannot take: each for itself
            return nothing
        together = sum(rows is not None for rows in scored)
        return {
            place: None if rows is None else _good(rows, together=together)
            for place, rows in zip(asked, scored, strict=True)
        }

    def _is_proved(self, stack: Stack, key: _Key, tables: Sequence[Table]) -> bool:
        shape = key[1], tables[0].columns
        if shape not in self._proved:
            self._seen.setdefault(shape, deque(maxlen=PROOFS)).extend(tables)
            try:
                found = stack.holds(self._seen[shape])
            except DatadriverError:
                found = None
            if found is None:
                return False
            del self._seen[shape]
            if not found:
                logger.warning(
                    "requests for %s are scored one by one: their scores depend on other rows, although no "
                    "`window.lookback` says so",
                    ", ".join(one.packaged.model for one in stack.models),
                )
            self._proved[shape] = found
        return self._proved[shape]

    def _alone(self, request: Request) -> Reply:
        try:
            answer = answered(self._package, request)
        except DatadriverError as error:
            return refusal(error)
        return _good(tuple(records(answer.scores)), unscored=[asdict(one) for one in answer.unscored])


class TooLargeError(DatadriverError):
    """A request of more rows than the server takes."""

    exit_code = 2


def refusal(error: DatadriverError) -> Reply:
    """Return the answer to a request that was not scored: the error's sentence, and a status.

    413 too many rows; 422 the contract rejects them; 500 the use case's code failed; 503 something outside is
    unavailable; 400 anything else, which whoever sent it can put right.
    """
    status = 413 if isinstance(error, TooLargeError) else _STATUS.get(type(error), 400)
    return problem(status, error.message)


def _good(rows: Sequence[dict[str, Any]], *, unscored: Sequence[Any] = (), together: int = 1) -> Reply:
    document = {"predictions": rows, **({"unscored": unscored} if unscored else {})}
    body = json.dumps(document, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    return Reply(200, body, len(rows), sum(row["alarm"] for row in rows), together)
