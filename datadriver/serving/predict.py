"""One document in, one answer out: what `predict` does on stdin, in the forms that the HTTP interface takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from datadriver.data.window import Window, parse_instant
from datadriver.serving.documents import CSV, JSON, Request, parse, records
from datadriver.serving.packaged import Package
from datadriver.serving.rows import WHOLE, Answer, answer_rows


def predict(package: Package, document: Mapping[str, Any]) -> Answer:
    """Score the rows of a document.

    Raises:
        BadRequestError: it cannot be understood.
        DatadriverError: as `answer_rows` does.
    """
    return answered(package, parse(json.dumps(document).encode()))


def predict_bytes(package: Package, body: bytes, *, is_csv: bool = False, params: Mapping[str, str]) -> str:
    """Return the answer to a document as JSON; `params` are laid over those of the document.

    Raises:
        BadRequestError: it cannot be understood.
        DatadriverError: as `answer_rows` does.
    """
    answer = answered(package, parse(body, CSV if is_csv else JSON, urlencode(params)))
    said: dict[str, Any] = {"predictions": list(records(answer.scores))}
    if answer.unscored:
        said["unscored"] = [asdict(one) for one in answer.unscored]
    return json.dumps(said, ensure_ascii=False, allow_nan=False)


def answered(package: Package, request: Request) -> Answer:
    """Score what is asked.

    Raises:
        DatadriverError: as `answer_rows` does.
    """
    rows = {name or package.main: table.frame() for name, table in request.tables.items()}
    return answer_rows(package, rows, asset=request.asset, models=request.models, window=_window(package, request))


def _window(package: Package, request: Request) -> Window:
    ends = (request.start, request.end)
    if ends == (None, None):
        return WHOLE
    return Window(*(None if end is None else parse_instant(end, package.usecase) for end in ends))
