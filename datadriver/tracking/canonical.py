"""A skops archive rewritten so that its bytes depend on the estimator alone.

What skops writes holds memory addresses (as object ids and file names), the time of day, the iteration order of sets,
and whatever happened to lie between the fields of structured arrays. Two objects that are equal but not identical get
two ids, and whether equal constants are identical depends on the interpreter's history. Here:

- files are named by the order in which their content first appears, and equal content is one file;
- shared mutable objects keep one id, numbered by first appearance; immutable ones get an id for every occurrence;
- the items of sets are sorted, the padding of structured arrays is zeroed;
- the JSON is compact with sorted keys (dicts of the estimator keep their order: it is part of them), the zip members
  are uncompressed (compressed bytes depend on the zlib at hand) and dated 1980.

`skops.io.load` reads the result as it reads its own.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

Node = dict[str, Any]

_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_IMMUTABLE = {"JsonNode", "TypeNode", "FunctionNode", "BytesNode", "DTypeNode", "SliceNode"}


def canonical(archive: bytes) -> bytes:
    """Rewrite the bytes of a skops archive; writing the same estimator again gives the same bytes."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        schema: Node = json.loads(source.read(_SCHEMA))
        files = {name: _clean(name, source.read(name)) for name in source.namelist() if name != _SCHEMA}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    _sort_sets(schema, digests)
    names: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    ids: dict[int, int] = {}
    for count, node in enumerate(_nodes(schema), start=1):
        if "file" in node:
            old = node["file"]
            suffix = old[old.rindex(".") :]
            node["file"] = names.setdefault(digests[old] + suffix, f"{len(names)}{suffix}")
            contents[node["file"]] = files[old]
        if "__id__" in node:
            node["__id__"] = count if _immutable(node) else ids.setdefault(node["__id__"], count)
    return _archive(schema, contents)


def _nodes(value: Any) -> Iterator[Node]:
    """All nodes, parents first, in an order that the written JSON has too."""
    if isinstance(value, list):
        for item in value:
            yield from _nodes(item)
    elif isinstance(value, dict):
        if _is_node(value):
            yield value
            for key in sorted(value):
                yield from _nodes(value[key])
        else:
            for item in value.values():
                yield from _nodes(item)


def _is_node(value: dict[str, Any]) -> bool:
    """A node, not a dict of the estimator that happens to have the key."""
    return isinstance(value.get("__loader__"), str)


def _immutable(node: Node) -> bool:
    """Whether identity means nothing for this object: text, numbers, types, numpy scalars, tuples of such."""
    loader = node["__loader__"]
    if loader == "TupleNode":
        return all(_immutable(item) for item in node["content"])
    return loader in _IMMUTABLE or (loader == "NdArrayNode" and node["__class__"] != "ndarray")


def _sort_sets(value: Any, digests: dict[str, str]) -> None:
    if isinstance(value, list):
        for item in value:
            _sort_sets(item, digests)
    elif isinstance(value, dict):
        for item in value.values():
            _sort_sets(item, digests)
        if value.get("__loader__") == "SetNode":
            value["content"].sort(key=partial(_text, digests=digests))
        elif value.get("__loader__") == "ConstructorFromReduceNode" and value["__class__"] == "frozenset":
            value["content"]["content"][0]["content"].sort(key=partial(_text, digests=digests))


def _text(node: Any, digests: dict[str, str]) -> str:
    """What a node says, without the ids and names that this process gave it."""

    def said(value: Any) -> Any:
        if isinstance(value, list):
            return [said(item) for item in value]
        if isinstance(value, dict):
            return {
                key: digests.get(item, item) if key == "file" and isinstance(item, str) else said(item)
                for key, item in value.items()
                if key != "__id__"
            }
        return value

    return json.dumps(said(node), sort_keys=True)


def _clean(name: str, content: bytes) -> bytes:
    """Zero what lies between the fields of a structured array, and unpack sparse matrices."""
    if name.endswith(".npz"):
        return _uncompressed(content)
    if not name.endswith(".npy") or b"[(" not in content[:512]:
        return content
    array = np.load(io.BytesIO(content), allow_pickle=False)
    buffer = io.BytesIO()
    np.save(buffer, _without_padding(array), allow_pickle=False)
    return buffer.getvalue()


def _without_padding(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.names is None:
        return array
    clean = np.zeros(array.shape, array.dtype)
    for field in array.dtype.names:
        clean[field] = _without_padding(array[field])
    return clean


def _uncompressed(npz: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(npz)) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            target.writestr(_member(name), source.read(name))
    return buffer.getvalue()


def _archive(schema: Node, contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=zipfile.ZIP_STORED) as archive:
        archive.writestr(_member(_SCHEMA), json.dumps(_ordered(schema), separators=(",", ":")))
        for name, content in contents.items():
            archive.writestr(_member(name), content)
    return buffer.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info


def _ordered(value: Any) -> Any:
    """Sort the keys of nodes; what lies below `content` without a loader is the estimator's own dict, in its order."""
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if isinstance(value, dict):
        keys = sorted(value) if _is_node(value) else value
        return {key: _ordered(value[key]) for key in keys}
    return value
