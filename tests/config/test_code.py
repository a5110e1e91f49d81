"""The boundary to the use case's code: whose error it was, where, and what was meant."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datadriver.config.code import accepts, call, code_digest, inspect_reference, load_reference
from datadriver.config.static_code import parameters_of
from datadriver.errors import ConfigError, DataError, UseCaseError

FEATURES = """\
import json
from math import floor as down
from datadriver.errors import DataError

CONSTANT = 5

def load(frame, *, asset=None):
    return frame["x"]

def stop():
    raise SystemExit(3)

def refuse():
    raise DataError("no rows")

if True:
    def inside(a, b=1, *args, c, **kwargs): ...
"""


@pytest.fixture(autouse=True)
def _own_modules() -> Iterator[None]:
    modules, path = dict(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.path[:] = path


def project(root: Path, features: str = FEATURES) -> Path:
    package = root / "src" / "plantpumps"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "features.py").write_text(features)
    return root


def test_an_exception_names_asset_step_function_and_line(tmp_path: Path) -> None:
    root = project(tmp_path)
    with pytest.raises(UseCaseError) as caught:
        call("plantpumps.features:load", root, {}, asset="P-101", step="features", arguments={"asset": {"a": 1}})
    assert caught.value.message == (
        "P-101, features: plantpumps.features:load raised KeyError: 'x' (src/plantpumps/features.py, line 8)"
    )
    assert isinstance(caught.value.__cause__, KeyError)
    assert call("plantpumps.features:load", root, {"x": 7}, asset="P-101", step="features") == 7


def test_exits_are_caught_and_our_own_errors_pass(tmp_path: Path) -> None:
    root = project(tmp_path)
    with pytest.raises(UseCaseError, match="raised SystemExit: 3"):
        call("plantpumps.features:stop", root, asset="P", step="mask")
    with pytest.raises(DataError, match=r"^no rows$"):
        call("plantpumps.features:refuse", root, asset="P", step="mask")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("plantpumps.fetures:load", "there is no module 'plantpumps.fetures'; did you mean 'plantpumps.features'?"),
        ("plantpump.features:load", "there is no module 'plantpump.features'; did you mean"),
        ("plantpumps.features:lod", "'plantpumps.features' has no function 'lod'; did you mean 'load'?"),
    ],
)
def test_a_misspelt_reference_is_a_config_error_with_the_nearest_name(
    tmp_path: Path, reference: str, said: str
) -> None:
    root = project(tmp_path)
    assert said in str(inspect_reference(reference, root))
    with pytest.raises(ConfigError) as caught:
        load_reference(reference, root)
    assert said in caught.value.message


def test_what_is_not_a_function_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'CONSTANT' is a int, not a function"):
        load_reference("plantpumps.features:CONSTANT", project(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ndef load(:\n", "plantpumps/features.py, line 2: invalid syntax"),
        (
            "import nowhere_at_all\n",
            "No module named 'nowhere_at_all' (src/plantpumps/features.py, line 1)",
        ),
        (
            "def f():\n    return 1 / 0\nf()\n",
            "division by zero (src/plantpumps/features.py, line 2)",
        ),
    ],
)
def test_a_module_that_cannot_be_imported_says_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UseCaseError) as caught:
        load_reference("plantpumps.features:load", project(tmp_path, text))
    assert said in caught.value.message


def test_two_use_cases_with_one_package_name_do_not_mix(tmp_path: Path) -> None:
    one = project(tmp_path / "one", "def which():\n    return 1\n")
    two = project(tmp_path / "two", "def which():\n    return 2\n")
    order = [one, two, one, two]
    assert [call("plantpumps.features:which", root, asset="", step="") for root in order] == [1, 2, 1, 2]
    (tmp_path / "three" / "src").mkdir(parents=True)
    with pytest.raises(ConfigError, match="no module"):
        load_reference("plantpumps.features:which", tmp_path / "three")


def test_looking_at_code_imports_nothing(tmp_path: Path) -> None:
    root = project(tmp_path, "raise RuntimeError\nfrom x import y as renamed\ndef load(): ...\n")
    assert inspect_reference("plantpumps.features:load", root) is None
    assert inspect_reference("plantpumps.features:renamed", root) is None
    assert inspect_reference("sklearn.linear_model:Ridge", root) is None
    assert "did you mean 'Ridge" in str(inspect_reference("sklearn.linear_model:Ridg", root))
    assert inspect_reference("math:floor", root) is None
    assert "plantpumps" not in sys.modules


def test_parameters_are_read_from_the_source_and_from_the_function(tmp_path: Path) -> None:
    root = project(tmp_path)
    takes = parameters_of("plantpumps.features:inside", root)
    assert takes is not None
    assert (takes.names, takes.required, takes.anything) == ({"a", "b", "c"}, ("a", "c"), True)
    assert accepts("plantpumps.features:load", root) == {"frame", "asset"}
    assert parameters_of("plantpumps.features:down", root) is None


def test_the_digest_covers_names_and_contents_and_not_the_place(tmp_path: Path) -> None:
    one, two = project(tmp_path / "one"), project(tmp_path / "two")
    assert code_digest(one, "plantpumps") == code_digest(two, "plantpumps")
    (two / "src" / "plantpumps" / "notes.txt").touch()
    assert code_digest(one, "plantpumps") == code_digest(two, "plantpumps")
    (two / "src" / "plantpumps" / "features.py").rename(two / "src" / "plantpumps" / "feature.py")
    assert code_digest(one, "plantpumps") != code_digest(two, "plantpumps")


def test_an_installed_package_has_the_digest_of_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(tmp_path / "one")
    monkeypatch.syspath_prepend(str(root / "src"))
    assert code_digest(tmp_path, "plantpumps") == code_digest(root, "plantpumps")
