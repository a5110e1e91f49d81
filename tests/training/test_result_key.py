"""The result key changes with everything that decides a result, and with nothing else."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datadriver.config.fleet import Asset
from datadriver.data.window import Window
from datadriver.training.pinning import PINNED, missing
from datadriver.training.result_key import frames_digest, result_key, versions

Make = Callable[..., Any]


@pytest.fixture
def project(root: Path, tmp_path: Path) -> Path:
    """A copy of the use case that a test may change."""
    return Path(shutil.copytree(root / "src", tmp_path / "somewhere" / "src")).parent


def test_the_key_is_the_same_in_another_folder(
    root: Path, project: Path, make_instance: Make, make_frame: Make, sections: Any
) -> None:
    instance = make_instance(sections["regression"])
    here, there = (result_key(instance, [make_frame()], {}, root=place) for place in (root, project))
    assert here == there
    assert len(here) == 64


def test_everything_that_decides_a_result_changes_the_key(
    project: Path, make_instance: Make, make_frame: Make, sections: Any
) -> None:
    section, frame = sections["regression"], make_frame()
    at = pd.DataFrame(index=frame.frame.index[[5]])
    events = {**section, "target": {"events": "failures", "horizon": "1d"}, "problem": "classification"}

    def key(section: Any = section, sensor: Any = frame, events: Any = None, **others: Any) -> str:
        return result_key(make_instance(section, [sensor.asset], **others), [sensor], events or {}, root=project)

    changed = frame.frame.assign(load=frame.frame["load"] + 1e-12)
    keys = [
        key(),
        key({**section, "params": {"alpha": 2.0}}),
        key({**section, "window": {"train": "1d"}}),
        key(seed=1),
        key(data={"mask": "plant.features:running"}),
        key(sensor=replace(frame, frame=changed)),
        key(sensor=replace(frame, frame=frame.frame.iloc[:-1])),
        key(sensor=replace(frame, window=Window(frame.frame.index[9], None))),
        key(sensor=replace(frame, asset=Asset("P-2", frame.asset.attributes))),
        key(sensor=replace(frame, asset=Asset("P-1", {"rated": 6.0}))),
        key(events),
        key(events, events={"P-1": at}),
        key(events, events={"P-1": pd.DataFrame(index=frame.frame.index[[6]])}),
    ]
    (project / "src" / "plant" / "features.py").write_text("# changed")
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_frames_of_a_unit_have_one_digest_whatever_their_order(make_frame: Make) -> None:
    one, two = make_frame("A"), make_frame("B", seed=1)
    assert frames_digest([one, two]) == frames_digest([two, one]) != frames_digest([one])
    assert frames_digest([one]) == one.digest()


def test_versions_are_those_of_what_the_use_case_imports(project: Path) -> None:
    found = versions(project)
    assert {"numpy", "pandas", "scikit-learn", "scipy"} <= set(found)
    assert "pyyaml" not in found
    (project / "src" / "plant" / "more.py").write_text("def f():\n    import yaml.nodes\n    import no_such_thing\n")
    assert "pyyaml" in versions(project)
    assert "no-such-thing" not in versions(project)


def test_versions_are_the_same_where_the_use_case_is_installed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "src" / "plant" / "more.py").write_text("import yaml\n")
    monkeypatch.syspath_prepend(str(project / "src"))
    monkeypatch.delitem(sys.modules, "plant", raising=False)  # another test's
    elsewhere = tmp_path / "image"
    elsewhere.mkdir()
    assert versions(elsewhere, "plant") == versions(project, "plant")


def test_an_environment_says_what_it_lacks_to_be_pinned() -> None:
    assert missing(PINNED) == {}
    assert missing({**PINNED, "OMP_NUM_THREADS": "2"}) == {"OMP_NUM_THREADS": "1"}
