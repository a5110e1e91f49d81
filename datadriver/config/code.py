"""The one boundary to the use case's own code: find it, call it, and say whose error it was.

`<root>/src` comes first on `sys.path`; packages that are installed work too. When two use cases of one process have a
package of the same name, each call imports the one under its own root. Functions of the other that were loaded before
go on working, except for imports inside of their bodies; a worker process serves one use case and never meets this.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from datadriver.config.static_code import inspect_reference
from datadriver.errors import ConfigError, DatadriverError, UseCaseError

__all__ = ["accepts", "call", "code_digest", "inspect_reference", "load_reference", "place_of"]

_sources: set[str] = set()  # every src folder that was put on sys.path
_settled: dict[str, tuple[str, Any]] = {}  # package name -> src folder it was asked for, module that was found right


def load_reference(reference: str, root: Path) -> Callable[..., Any]:
    """Import what `package.module:function` names.

    Raises:
        ConfigError: if there is no such module or function, with the nearest names.
        UseCaseError: if the module raises while it is imported, with file and line.
    """
    module_name, _, name = reference.partition(":")
    prefer(root, module_name)
    module = sys.modules.get(module_name) or _import(module_name, reference, root)
    function: Callable[..., Any] | None = getattr(module, name, None)
    if function is None:
        raise ConfigError(inspect_reference(reference, root) or f"{reference}: {module_name!r} has no {name!r}")
    if not callable(function):
        raise ConfigError(f"{reference}: {name!r} is a {type(function).__name__}, not a function")
    return function


def call(
    reference: str,
    root: Path,
    *args: Any,
    asset: str,
    step: str,
    arguments: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Call a function of the use case and return what it returns.

    Args:
        reference: The function.
        root: Folder of the use case.
        *args: Its positional arguments.
        asset: Asset or unit that it is called for, named in errors.
        step: What it is called for, such as `features`.
        arguments: Keyword arguments whose names would clash with the ones above.
        **kwargs: Keyword arguments.

    Raises:
        UseCaseError: whatever it raised, except for datadriver's own errors, which pass.
        ConfigError: if there is no such function.
    """
    function = load_reference(reference, root)
    try:
        return function(*args, **kwargs, **(arguments or {}))
    except DatadriverError:
        raise
    except (Exception, SystemExit) as error:
        place = place_of(error, root)
        raise UseCaseError(
            f"{asset}, {step}: {reference} raised {type(error).__name__}: {error}{f' ({place})' if place else ''}"
        ) from error


def accepts(reference: str, root: Path) -> frozenset[str]:
    """Return the names of the parameters of a function that may be given by name."""
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        signature = inspect.signature(load_reference(reference, root))
    except (ValueError, TypeError):  # some callables written in C have none
        return frozenset()
    return frozenset(name for name, parameter in signature.parameters.items() if parameter.kind in by_name)


def code_digest(root: Path, name: str) -> str:
    """Return the sha256 of the use case's source: every `*.py` under `src/`, or of the installed package `name`.

    Paths are part of it, relative to `src/` (or to where the package is installed), so that the same code gives the
    same digest in a checkout and installed in an image. Installed, all modules of the distribution count.
    """
    base, files = root / "src", []
    if base.is_dir():
        files = list(base.rglob("*.py"))
    elif (spec := importlib.util.find_spec(name)) and spec.submodule_search_locations:
        package = Path(next(iter(spec.submodule_search_locations)))
        base, files = package.parent, _installed_with(package) or list(package.rglob("*.py"))
    digest = hashlib.sha256()
    for path, file in sorted((file.relative_to(base).as_posix(), file) for file in files):
        data = file.read_bytes()
        digest.update(f"{path}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def _installed_with(package: Path) -> list[Path]:
    """Return the modules of the distribution that brought a package, by the list that its installer wrote."""
    for record in package.parent.glob(f"{package.name}-*.dist-info/RECORD"):
        with record.open(encoding="utf-8", newline="") as lines:
            names = [row[0] for row in csv.reader(lines) if row]
        if f"{package.name}/__init__.py" in names:
            return [package.parent / name for name in names if name.endswith(".py")]
    return []


def prefer(root: Path, module_name: str) -> None:
    """Put this use case's `src` first, and forget modules of the same package that came from elsewhere."""
    source = str((root / "src").absolute())
    if not sys.path or sys.path[0] != source:
        sys.path[:] = [source, *(entry for entry in sys.path if entry not in _sources and entry != source)]
        _sources.add(source)
    package = module_name.partition(".")[0]
    loaded = sys.modules.get(package)
    if loaded is None or _settled.get(package) == (source, loaded):
        return
    here = _is_here(package, source)
    strange = not _is_under(loaded, source) if here else any(_is_under(loaded, other) for other in _sources - {source})
    if strange:
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            del sys.modules[name]
    else:
        _settled[package] = (source, loaded)


def _is_here(package: str, source: str) -> bool:
    return (Path(source) / package).is_dir() or (Path(source) / f"{package}.py").is_file()


def _is_under(module: Any, folder: str) -> bool:
    paths = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(Path(path).resolve().is_relative_to(Path(folder).resolve()) for path in paths if path)


def _import(module_name: str, reference: str, root: Path) -> Any:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except DatadriverError:
        raise
    except SyntaxError as error:
        file = _relative(error.filename or module_name, root)
        raise UseCaseError(f"{reference}: {file}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")
        if missing and (problem := inspect_reference(reference, root)):
            raise ConfigError(problem) from None
        place = place_of(error, root)
        raise UseCaseError(
            f"{reference}: importing {module_name} raised {type(error).__name__}: {error}"
            + (f" ({place})" if place else "")
        ) from error


def place_of(error: BaseException, root: Path) -> str:
    """Return file and line of the last frame in the use case, or of the last frame outside of datadriver."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(root.absolute())]
    other = [frame for frame in frames if not Path(frame.filename).is_relative_to(Path(__file__).parents[1])]
    frame = next(iter(own[-1:] or [frame for frame in other[-1:] if "importlib" not in frame.filename]), None)
    return f"{_relative(frame.filename, root)}, line {frame.lineno}" if frame else ""


def _relative(filename: str, root: Path) -> str:
    path = Path(filename)
    return str(path.relative_to(root.absolute())) if path.is_relative_to(root.absolute()) else path.name
