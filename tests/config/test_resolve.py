"""Overrides by cohort, units and instances: what each asset's models are."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.config.resolve import expand, resolve
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError

FLEET = (
    Asset("P-1", {"country": "NO", "type": "ESP"}),
    Asset("P-2", {"country": "BR", "type": "ESP"}),
    Asset("P-3", {"country": "BR", "type": "PCP"}),
)
MODEL = {"problem": "anomaly", "estimator": "pumps.models:a", "baseline": "pumps.models:b"}
SOURCE = {"path": "x.parquet", "index": "ts", "tags": {"vibration": {}, "PIT-101.PV": {}}}


def usecase(*overrides: tuple[str, dict[str, Any]], **models: dict[str, Any]) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "pumps",
            "fleet": {"assets": "fleet.csv"},
            "data": {"sources": {"sensors": SOURCE}},
            "contract": {"parameters": {"max_temp": 100}},
            "models": {name: MODEL | model for name, model in models.items()} or {"m": MODEL},
            "overrides": [{"where": where, "set": settings} for where, settings in overrides],
        }
    )


def test_overrides_apply_in_order_and_only_to_their_cohort() -> None:
    case = usecase(
        ("True", {"models.*.window.train": "30d"}),
        ("country == 'BR'", {"models.m.window.train": "180d", "contract.parameters.max_temp": 90}),
        ("asset_id == 'P-3'", {"data.sources.sensors.tags.vibration.optional": True, "models.m.params.alpha": 2}),
    )
    found = [resolve(case, asset) for asset in FLEET]
    assert [item.models["m"].window.train for item in found] == [timedelta(30), timedelta(180), timedelta(180)]
    assert [item.contract.parameters["max_temp"] for item in found] == [100, 90, 90]
    assert (found[2].data.sources["sensors"].tags or {})["vibration"].optional
    assert found[2].models["m"].params == {"alpha": 2}
    assert not any(item.overrides for item in found)
    assert resolve(found[1], FLEET[1]) == found[1]


def test_assets_of_one_cohort_share_one_use_case() -> None:
    case = usecase(("country == 'BR'", {"models.m.window.train": "180d"}))
    assert resolve(case, FLEET[1]) is resolve(case, FLEET[2])


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("models.m.window.trian", "1d", "models.m.window has no key 'trian'; did you mean 'train'?"),
        ("models.n.window.train", "1d", "models has no 'n'"),
        ("model.m.window.train", "1d", "did you mean 'models'"),
        ("models.m.window.train", "1x", "models.m.window.train: '1x' is not a duration"),
        ("models.m.window.train.days", 1, "models.m.window.train is one value"),
        ("models.m.alarm.abov", 1, "models.m.alarm has no key 'abov'; did you mean 'above'?"),
        ("models.m.alarm.on", "score", "models.m.alarm.above: is required"),
        ("contract.parameters.max_tmp", 1, "did you mean 'max_temp'?"),
        ("data.sources.sensors.tags.vibrations.optional", True, "did you mean 'vibration'?"),
        ("data.index", "step", "one kind of index"),
        ("models.m.fit", "fleet", "said in the model itself"),
        ("ledger.uri", "x", "'ledger' cannot differ between cohorts"),
        ("name", "x", "'name' cannot differ"),
    ],
)
def test_an_override_that_leads_nowhere_says_so(path: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(usecase(("True", {path: value})), FLEET[0])
    assert said in caught.value.message
    assert "overrides[0]" in caught.value.message


def test_names_with_dots_in_them_can_be_overridden() -> None:
    case = usecase(
        ("True", {"data.sources.sensors.tags.PIT-101.PV.optional": True, "contract.on_breach.train.critical": "warn"})
    )
    found = resolve(case, FLEET[0])
    assert (found.data.sources["sensors"].tags or {})["PIT-101.PV"].optional
    assert found.contract.on_breach.action("train", "critical") == "warn"


def test_units_are_assets_groups_or_the_fleet() -> None:
    case = usecase(each={}, some={"where": "type == 'ESP'"}, pooled={"fit": ["country", "type"]}, all={"fit": "fleet"})
    assert [instance.key for instance in expand(case, FLEET)] == [
        "P-1/each", "P-2/each", "P-3/each",
        "P-1/some", "P-2/some",
        "country=NO,type=ESP/pooled", "country=BR,type=ESP/pooled", "country=BR,type=PCP/pooled",
        "fleet/all",
    ]  # fmt: skip
    assert [asset.id for asset in expand(case, FLEET)[-1].unit.assets] == ["P-1", "P-2", "P-3"]


@given(st.lists(st.tuples(st.text(), st.text()), unique=True, min_size=1, max_size=4))
def test_different_groups_have_different_keys(groups: list[tuple[str, str]]) -> None:
    assets = [Asset(str(place), {"a": a, "b": b}) for place, (a, b) in enumerate(groups)]
    keys = [instance.key for instance in expand(usecase(m={"fit": ["a", "b"]}), assets)]
    assert len(set(keys)) == len(groups)
    assert all(key.count("/") == 1 for key in keys)


def test_a_grid_makes_a_model_of_every_combination() -> None:
    target = {"events": "failures", "horizon": "{horizon}"}
    case = usecase(
        ("country == 'BR'", {"models.m.window.min_rows": 7}),
        m={"target": target, "grid": {"horizon": ["1d", "3d"], "kind": ["a"]}, "params": {"kind": "{kind}"}},
    )
    found = {instance.key: instance.spec for instance in expand(case, FLEET)}
    assert list(itertools.islice(found, 3)) == [f"P-{n}/m[horizon=1d,kind=a]" for n in (1, 2, 3)]
    spec = found["P-2/m[horizon=3d,kind=a]"]
    assert spec.target is not None
    assert (spec.target.horizon, spec.params, spec.window.min_rows) == (timedelta(days=3), {"kind": "a"}, 7)
    assert spec.grid == {}


def test_an_override_that_splits_a_pooled_unit_is_named() -> None:
    case = usecase(
        ("True", {"contract.parameters.max_temp": 90}),
        ("country == 'BR'", {"models.m.window.min_rows": 7}),
        m={"fit": ["type"]},
    )
    with pytest.raises(ConfigError) as caught:
        expand(case, FLEET)
    assert "'type=ESP'" in caught.value.message
    assert "overrides[1] (`country == 'BR'`) set the model differently for P-1 and P-2" in caught.value.message
    assert "overrides[0]" not in caught.value.message


def test_members_of_a_pooled_unit_may_differ_in_their_data() -> None:
    case = usecase(("country == 'BR'", {"data.sources.sensors.tags.vibration.optional": True}), m={"fit": "fleet"})
    (instance,) = expand(case, FLEET)
    tags = [resolve(instance.usecase, asset).data.sources["sensors"].tags or {} for asset in instance.unit.assets]
    assert [tag["vibration"].optional for tag in tags] == [False, True, True]


def test_unknown_and_empty_attributes_are_named_all_at_once() -> None:
    case = usecase(("contry == 'BR'", {"models.m.window.min_rows": 7}), m={"fit": ["typ"], "where": "depth > 1"})
    with pytest.raises(ConfigError) as caught:
        expand(case, FLEET)
    assert caught.value.problems == (
        "overrides[0].where: `contry == 'BR'`: no asset has an attribute 'contry'; did you mean 'country'?",
        "models.m.where: `depth > 1`: no asset has an attribute 'depth'; known: 'asset_id', 'country', 'type'",
        "models.m.fit: no asset has an attribute 'typ'; did you mean 'type'?",
    )
    with pytest.raises(ConfigError, match="asset P-9 has no value for 'type'"):
        expand(usecase(m={"fit": ["type"]}), [*FLEET, Asset("P-9", {"country": "NO", "type": None})])


def test_no_asset_means_no_instance() -> None:
    assert expand(usecase(), ()) == ()
