"""Your own tests: what you promise about your features."""

import pandas as pd
{%- set functions = {"regression": "in_operation, load_and_weather", "classification": "in_operation, signs_of_wear", "anomaly": "behaviour, in_operation"} %}

from {{ cookiecutter.name }}.features import {{ functions[cookiecutter.problem] }}


def hours(values: list[float]) -> pd.DataFrame:
    """Return a small frame by hand: one row an hour, with the given load."""
    index = pd.date_range("2025-01-06", periods=len(values), freq="h", tz="UTC", name="time")
    return pd.DataFrame({"load": values, "ambient": 10.0, "temperature": 60.0, "vibration": 2.0}, index=index)


def test_a_standing_pump_does_not_count() -> None:
    assert in_operation(hours([60, 0, 60])).tolist() == [True, False, True]

{% if cookiecutter.problem == "regression" %}
def test_the_load_of_the_last_three_hours_is_averaged() -> None:
    assert load_and_weather(hours([30, 60, 60, 90]))["load_3h"].tolist() == [30, 45, 50, 70]
{%- elif cookiecutter.problem == "classification" %}
def test_a_pump_that_does_not_change_has_no_trend() -> None:
    assert signs_of_wear(hours([60] * 100))["vibration_trend"].abs().max() < 1e-9
{%- else %}
def test_a_steady_load_does_not_change() -> None:
    assert behaviour(hours([60] * 20))["load_change"].abs().max() < 1e-9
{%- endif %}
