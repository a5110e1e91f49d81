import importlib
import pickle
import re
from pathlib import Path

import pytest

from datadriver import errors


def deliberate_errors():
    root = Path(errors.__file__).parent
    for path in root.rglob("*.py"):  # those that a part of the code keeps to itself, too
        if re.search(r"^class \w+\((\w+Error|DatadriverError)\):", path.read_text(), re.MULTILINE):
            importlib.import_module(".".join(("datadriver", *path.relative_to(root).with_suffix("").parts)))
    pending, found = [errors.DatadriverError], []
    while pending:
        kind = pending.pop()
        found.append(kind)
        pending.extend(kind.__subclasses__())
    return found


def test_every_error_has_a_documented_exit_code():
    tree = errors.__doc__
    for kind in deliberate_errors():
        line = next((line for line in tree.splitlines() if f"{kind.__name__} " in line), None)
        assert line is not None, f"{kind.__name__} is missing from the tree at the top of errors.py"
        assert f" {kind.exit_code}  " in line


@pytest.mark.parametrize(
    "error",
    [
        errors.ConfigError(["models: is missing", "name: is missing"]),
        errors.DataError("P-101: no rows"),
        errors.MissingExtraError("airflow", "`dags build`"),
    ],
)
def test_errors_survive_the_way_back_from_a_worker(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.exit_code == error.exit_code
    assert vars(back) == vars(error)


def test_nearest_offers_the_look_alikes_and_otherwise_what_there_is():
    assert errors.nearest("vibraton", ["vibration", "flow"]) == "; did you mean 'vibration'?"
    assert errors.nearest("zzz", ["b", "a"]) == "; known: 'a', 'b'"
    assert errors.nearest("zzz", []) == ""
    assert errors.nearest("zzz", [f"t{i}" for i in range(20)]).endswith("and 12 more")
