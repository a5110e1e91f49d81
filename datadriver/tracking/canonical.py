"""A skops archive whose bytes depend on the estimator alone.

What skops says of an estimator holds memory addresses (as object ids and file names), the time of day, the iteration
order of sets, and whatever happened to lie between the fields of structured arrays. Two objects that are equal but not
identical get two ids, and whether equal constants are identical depends on the interpreter's history. Here:

- files are named by the order in which their content first appears, and equal content is one file;
- shared mutable objects keep one id, numbered by first appearance; immutable ones get an id for every occurrence;
- the items of sets are sorted, the padding of structured arrays is zeroed;
- the JSON is compact with sorted keys (dicts of the estimator keep their order: it is part of them), the zip members
  are uncompressed (compressed bytes depend on the zlib at hand) and dated 1980.

`skops.io.load` reads the result as it reads its own. skops is asked for the state of the estimator, not for an archive:
it indents its JSON, which takes longer than all the rest, and it would have to be unpacked at once.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from datadriver.tracking.skops_names import skops_io

Node = dict[str, Any]

_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_IMMUTABLE = {"JsonNode", "TypeNode", "FunctionNode", "BytesNode", "DTypeNode", "SliceNode"}
_NAMED_BY_CLASS = {
    "DTypeNode",
    "DictNode",
    "JsonNode",
    "ListNode",
    "NdArrayNode",
    "ObjectNode",
    "SetNode",
    "TreeNode",
    "TupleNode",
    "TypeNode",
}
"""Nodes of which class and module say what skops thinks of them."""


@dataclass(frozen=True)
class Archive:
    """An archive, and what kinds of nodes are in it: two of the same kinds contain the same types."""

    data: bytes = field(compare=False)
    kinds: frozenset[Any]


def archive(estimator: Any) -> Archive:
    """Write an estimator; writing it again, or an equal one, gives the same bytes."""
    members = _Members()
    schema = _state(estimator, members)
    files = {name: _clean(name, content) for name, content in members.contents.items()}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    _sort_sets(schema, digests)
    naming = _Naming(digests)
    text = json.dumps(naming.renamed(schema), separators=(",", ":"))
    contents = {new: files[old] for old, new in naming.files.items()}
    return Archive(_zipped(text, contents), frozenset(naming.kinds))


def _state(estimator: Any, members: _Members) -> Node:
    """Return what skops would write into `schema.json`, while the other files go to `members`."""
    skops_io()
    import skops  # type: ignore[import-untyped]  # noqa: PLC0415 - with it comes scikit-learn
    from skops.io._utils import SaveContext, get_state  # type: ignore[import-untyped]  # noqa: PLC0415

    context = SaveContext(zip_file=members)
    state = get_state(estimator, context)
    state["protocol"], state["_skops_version"] = context.protocol, skops.__version__
    schema: Node = json.loads(json.dumps(state))
    return schema


@dataclass
class _Members:
    """The part of a zip file that skops writes to."""

    contents: dict[str, bytes] = field(default_factory=dict)

    def namelist(self) -> Collection[str]:
        return self.contents.keys()

    def writestr(self, name: str, content: bytes | memoryview) -> None:
        self.contents[name] = bytes(content)


class _Naming:
    """New ids, and new names of files, by first appearance in the written JSON."""

    def __init__(self, digests: dict[str, str]) -> None:
        self.files: dict[str, str] = {}
        self.kinds: set[Any] = set()
        self._digests = digests
        self._names: dict[str, str] = {}
        self._ids: dict[int, int] = {}
        self._count = 0

    def renamed(self, value: Any) -> Any:
        """Return a copy with the keys of nodes sorted, parents numbered before what is in them.

        What lies below `content` without a loader is the estimator's own dict and keeps its order.
        """
        if isinstance(value, list):
            return [self.renamed(item) for item in value]
        if not isinstance(value, dict):
            return value
        if not _is_node(value):
            return {key: self.renamed(item) for key, item in value.items()}
        self._count += 1
        own: Node = {}
        if "file" in value:
            own["file"] = self._file(value["file"])
        if "__id__" in value:
            own["__id__"] = self._count if _immutable(value) else self._ids.setdefault(value["__id__"], self._count)
        self.kinds.add(self._kind(value))
        return {key: own[key] if key in own else self.renamed(value[key]) for key in sorted(value)}

    def _file(self, old: str) -> str:
        suffix = old[old.rindex(".") :]
        new = self._names.setdefault(self._digests[old] + suffix, f"{len(self._names)}{suffix}")
        self.files.setdefault(old, new)
        return new

    def _kind(self, node: Node) -> Any:
        loader = node["__loader__"]
        if loader in _NAMED_BY_CLASS:
            return loader, node["__module__"], node["__class__"]
        return _text(node, self._digests)


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
    for name in array.dtype.names:
        clean[name] = _without_padding(array[name])
    return clean


def _uncompressed(npz: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(npz)) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            target.writestr(_member(name), source.read(name))
    return buffer.getvalue()


def _zipped(schema: str, contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=zipfile.ZIP_STORED) as target:
        target.writestr(_member(_SCHEMA), schema)
        for name, content in contents.items():
            target.writestr(_member(name), content)
    return buffer.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info
