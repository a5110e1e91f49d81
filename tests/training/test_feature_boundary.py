"""What feature and mask functions get, and what is said when they give back the wrong thing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datadriver.config.fleet import Instance
from datadriver.data.frame import SensorFrame
from datadriver.errors import ConfigError, UseCaseError
from datadriver.training.features import build_features, operating_mask

Make = Callable[..., Any]


@pytest.fixture
def features(
    root: Path, make_instance: Make, make_frame: Make, sections: dict[str, Any]
) -> Callable[[str | None], Any]:
    def build(name: str | None) -> Any:
        reference = f"plant.features:{name}" if name else None
        instance: Instance = make_instance({**sections["regression"], "features": reference})
        return build_features(instance, make_frame(rows=50), root)

    return build


def test_without_a_function_the_numeric_sensors_beside_the_target_are_the_features(features: Make) -> None:
    assert list(features(None).columns) == ["load", "flow"]


def test_target_and_labels_are_hidden_unless_asked_for_by_name(features: Make, make_frame: Make) -> None:
    assert features("with_target")["before"].iloc[1:].tolist() == make_frame(rows=50).frame["temperature"][:-1].tolist()
    assert (features("with_asset")["rated"] == 5.0).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("series", r"P-1, features: plant.features:series returned Series; return a DataFrame; write `.to_frame\(\)`"),
        ("short", "returned 49 rows for 50; keep every row"),
        ("raises", r"P-1, features: plant.features:raises raised KeyError: 'laod' \(src/plant/features.py, line \d+\)"),
        ("infinite", "'load' is infinite in 50 of 50 rows, first at 2025-01-01T00:00:00"),
    ],
)
def test_a_wrong_answer_is_the_use_cases_error_and_says_what_to_do(features: Make, name: str, message: str) -> None:
    with pytest.raises(UseCaseError, match=message):
        features(name)


def test_a_column_that_a_function_does_not_find_is_explained(
    root: Path, make_instance: Make, make_frame: Make, sections: Any
) -> None:
    answers = {
        "frame['laod']": r"the frame has no column 'laod' \(.* `tags` declares it\); did you mean 'load'",
        "frame[['load', 'laod']]": "the frame has no column 'laod'.*; did you mean 'load'",
        "frame[['temperature']]": "'temperature' is the target, .* only as a parameter named 'temperature'",
        "frame.assign(x={}['load'])": "raised KeyError: 'load' [^;]*$",
    }
    functions = [f"def ask_{number}(frame):\n    return {text}\n" for number, text in enumerate(answers)]
    (root / "src" / "plant" / "asking.py").write_text("\n".join(functions))
    for number, answer in enumerate(answers.values()):
        instance = make_instance({**sections["regression"], "features": f"plant.asking:ask_{number}"})
        with pytest.raises(UseCaseError, match=answer):
            build_features(instance, make_frame(rows=5), root)


def test_a_parameter_that_is_no_column_is_named(
    root: Path, make_instance: Make, make_frame: Make, sections: Any
) -> None:
    (root / "src" / "plant" / "more.py").write_text("def needs(frame, lod):\n    return frame\n")
    instance = make_instance({**sections["regression"], "features": "plant.more:needs"})
    with pytest.raises(ConfigError, match="wants 'lod', which is neither a column nor `asset`; did you mean 'load'"):
        build_features(instance, make_frame(rows=5), root)


def test_changing_the_frame_in_place_does_not_reach_the_next_model(
    root: Path, make_instance: Make, make_frame: Make, sections: Any
) -> None:
    (root / "src" / "plant" / "greedy.py").write_text(
        "def features(frame):\n    frame['load'] = 0.0\n    return frame[['load']]\n"
        "def mask(frame):\n    frame['load'] = 0.0\n    return frame['load'] >= 0\n"
    )
    sensor: SensorFrame = make_frame(rows=50)
    digest = sensor.digest()
    instance = make_instance(
        {**sections["regression"], "features": "plant.greedy:features"}, data={"mask": "plant.greedy:mask"}
    )
    build_features(instance, sensor, root)
    operating_mask(instance.usecase, sensor, root)
    assert sensor.digest() == digest


def test_a_mask_must_be_boolean(root: Path, make_instance: Make, make_frame: Make, sections: Any) -> None:
    instance = make_instance(sections["regression"], data={"mask": "plant.features:mask_of_numbers"})
    with pytest.raises(UseCaseError, match=r"returned a Series of float64 .* return True or False for every row"):
        operating_mask(instance.usecase, make_frame(rows=5), root)
