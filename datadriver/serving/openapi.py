"""The interface of a server in OpenAPI 3.1: routes, forms of documents, and the columns that rows have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datadriver import __version__
from datadriver.config.sections import Long, Source
from datadriver.serving.documents import CSV, JSON
from datadriver.serving.packaged import Package

_Schema = dict[str, Any]
_VALUE: _Schema = {"type": ["number", "string", "boolean", "null"]}
_ERROR: _Schema = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
}
_REFUSALS = {
    "400": "The document or its rows cannot be used; the message says why.",
    "413": "Too many bytes or rows.",
    "415": "Neither JSON nor CSV in UTF-8.",
    "422": "The contract rejects the rows.",
    "500": "Code of the use case failed, or the server did.",
    "503": "Too many requests at a time, or something outside is unavailable.",
}


def describe(package: Package) -> dict[str, Any]:
    """Return the OpenAPI document of a server of a package."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Scores of {package.manifest.usecase}",
            "version": __version__,
            "description": "Raw sensor rows in, scores out. Models: "
            + ", ".join(one.packaged.name for one in package.models[:20])
            + (", ..." if len(package.models) > 20 else ""),
        },
        "paths": {
            "/invocations": {"post": _scoring("score", package)},
            "/predict": {"post": _scoring("predict", package)},
            "/ping": _page("ping", "Whether the server takes requests; 503 while it stops.", "application/json"),
            "/health": _page("health", "The same.", "application/json"),
            "/version": _page("version", "Version of datadriver.", "text/plain"),
            "/metrics": _page("metrics", "Counts for Prometheus.", "text/plain"),
            "/openapi.json": _page("openapi", "This document.", "application/json"),
        },
        "components": {"schemas": {"Request": _request(package), "Scores": _scores(package), "Error": _ERROR}},
    }


def _scoring(name: str, package: Package) -> dict[str, Any]:
    refusals = {
        status: {"description": text, "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
        for status, text in _REFUSALS.items()
    }
    good = {"description": "Scores.", "content": {JSON: {"schema": {"$ref": "#/components/schemas/Scores"}}}}
    return {
        "operationId": name,
        "summary": "Score raw sensor rows.",
        "parameters": [
            {"name": key, "in": "query", "required": False, "schema": {"type": "string"}, "description": text}
            for key, text in _params(package).items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": {"$ref": "#/components/schemas/Request"}},
                CSV: {"schema": {"type": "string"}},
            },
        },
        "responses": {"200": good, **refusals},
    }


def _params(package: Package) -> Mapping[str, str]:
    assets = [asset.id for asset in package.manifest.assets]
    shown = ", ".join(assets[:5]) + (", ..." if len(assets) > 5 else "")
    return {
        "asset": f"Whose rows: {shown}." + (" May be left out." if len(assets) == 1 else ""),
        "models": "Names of models with commas between; default: all that score the asset.",
        "start": "First instant to score; default: that of the rows.",
        "end": "End of the instants to score; itself not one of them.",
    }


def _request(package: Package) -> _Schema:
    rows = {name: _rows(source) for name, source in package.usecase.data.sources.items() if source.join != "none"}
    main = rows[package.main]
    split: _Schema = {
        "type": "object",
        "required": ["columns", "data"],
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}},
            "data": {"type": "array", "items": {"type": "array", "items": _VALUE}},
        },
    }
    records = {"type": "array", "items": main}
    forms = {
        "dataframe_split": split,
        "dataframe_records": records,
        "instances": records,
        "inputs": {"anyOf": [records, {"type": "object", "additionalProperties": {"type": "array", "items": _VALUE}}]},
        "sources": {
            "type": "object",
            "properties": {name: {"anyOf": [split, {"type": "array", "items": one}]} for name, one in rows.items()},
        },
    }
    models = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}
    instant = {"type": ["string", "integer"]}
    params = {"asset": {"type": "string"}, "models": models, "start": instant, "end": instant}
    return {
        "type": "object",
        "properties": {**forms, "params": {"type": "object", "properties": params, "additionalProperties": False}},
        "oneOf": [{"required": [form]} for form in forms],
        "additionalProperties": False,
    }


def _rows(source: Source) -> _Schema:
    """Describe a raw row of a source."""
    names = [source.index, source.known_at]
    if isinstance(source.layout, Long):
        names += [source.layout.long.tag, source.layout.long.value]
        tags = []
    else:
        tags = [tag.source_name or name for name, tag in (source.tags or {}).items()]
    columns = [name for name in (*names, *tags) if name]
    return {"type": "object", "required": [source.index], "properties": dict.fromkeys(columns, _VALUE)}


def _scores(package: Package) -> _Schema:
    index = package.usecase.data.index
    texts = ("unit", "model", "asset_id", "role", "result_key", "verdict", "reason")
    kinds: dict[str, Any] = {
        **{name: {"type": "string"} for name in texts},
        **{name: {"type": ["number", "null"]} for name in ("score", "actual", "residual")},
        index: {"type": "integer"} if index == "step" else {"type": "string", "format": "date-time"},
        "alarm": {"type": "boolean"},
        "version": {"type": "integer"},
    }
    row = {"type": "object", "required": sorted(kinds), "properties": kinds}
    unscored = {"type": "array", "items": {"type": "object"}}
    return {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array", "items": row}, "unscored": unscored},
    }


def _page(name: str, text: str, media_type: str) -> dict[str, Any]:
    return {
        "get": {
            "operationId": name,
            "summary": text,
            "responses": {"200": {"description": text, "content": {media_type: {}}}},
        }
    }
