"""Looking at the use case's code without importing it: does a reference lead anywhere, and what does it take?

Importing would be exact, and would cost seconds (scikit-learn) and run whatever a module does at import.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from datadriver.errors import nearest


@dataclass(frozen=True)
class Parameters:
    """The parameters of a function as its source says."""

    names: frozenset[str]
    required: tuple[str, ...]
    positional: int
    anything: bool

    @classmethod
    def of(cls, arguments: ast.arguments) -> Parameters:
        """Read them from the syntax tree."""
        positional = [*arguments.posonlyargs, *arguments.args]
        optional = len(arguments.defaults)
        required = [item.arg for item in positional[: len(positional) - optional]]
        required += [
            item.arg
            for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if default is None
        ]
        names = frozenset(item.arg for item in [*arguments.args, *arguments.kwonlyargs])
        return cls(names, tuple(required), 99 if arguments.vararg else len(positional), arguments.kwarg is not None)


def inspect_reference(reference: str, root: Path) -> str | None:
    """Say why `package.module:function` leads nowhere, or return None if nothing speaks against it."""
    module_name, _, name = reference.partition(":")
    file = _find(module_name, root)
    if file is None:
        return f"{reference}: there is no module {module_name!r}{nearest(module_name, _modules(root))}"
    tree = _parse(file, root) if file.suffix == ".py" else None
    if isinstance(tree, str):
        return f"{reference}: {tree}"
    if tree is None:
        return None
    names = dict(_bindings(tree.body))
    if name in names or "*" in names or "__getattr__" in names:
        return None
    functions = [key for key, node in names.items() if not key.startswith("_") and not isinstance(node, ast.Import)]
    return f"{reference}: {module_name!r} has no function {name!r}{nearest(name, functions)}"


def parameters_of(reference: str, root: Path) -> Parameters | None:
    """Return what a function of the use case takes, or None where its source does not say."""
    module_name, _, name = reference.partition(":")
    file = _find(module_name, root)
    tree = _parse(file, root) if file is not None and file.suffix == ".py" else None
    if tree is None or isinstance(tree, str):
        return None
    node = dict(_bindings(tree.body)).get(name)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.decorator_list:
        return Parameters.of(node.args)
    return None


def _find(module_name: str, root: Path) -> Path | None:
    """Return the file of a module; what is neither a file nor a package's `__init__.py` is its folder."""
    folders = [str(root / "src"), *sys.path]
    if module_name.partition(".")[0] in sys.builtin_module_names:
        return Path(module_name)
    found: Path | None = None
    for part in module_name.split("."):
        spec = PathFinder.find_spec(part, folders)
        if spec is None:
            return None
        folders = list(spec.submodule_search_locations or [])
        found = Path(spec.origin) if spec.origin else Path(*folders[:1])
    return found


def _modules(root: Path) -> Iterator[str]:
    """Yield the names of the use case's own modules; an empty `__init__.py` has no function to offer."""
    source = root / "src"
    for file in source.rglob("*.py"):
        if file.name == "__init__.py" and not file.stat().st_size:
            continue
        parts = file.relative_to(source).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _parse(file: Path, root: Path) -> ast.Module | str | None:
    """Return the syntax tree, or a sentence with file and line; None for what cannot be read as source."""
    try:
        return ast.parse(file.read_bytes())
    except SyntaxError as error:
        shown = file.relative_to(root) if file.is_relative_to(root) else file.name
        return f"{shown}, line {error.lineno}: {error.msg}"
    except (OSError, ValueError, RecursionError, MemoryError):
        return None


def _bindings(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the names that a module's top level defines, inside `if`, `try` and `with` too."""
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((alias.asname or alias.name.partition(".")[0], node) for alias in names)
            case ast.Assign() | ast.AnnAssign() | ast.For() | ast.With():
                yield from ((item.id, node) for item in ast.walk(node) if isinstance(item, ast.Name))
        for inner in ("body", "orelse", "finalbody", "handlers"):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                for child in getattr(node, inner, []):
                    yield from _bindings(child.body if isinstance(child, ast.ExceptHandler) else [child])
