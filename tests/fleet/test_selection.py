"""--where, --assets, --units, --models."""

from __future__ import annotations

import pytest

from datadriver.config.fleet import Asset
from datadriver.config.resolve import expand
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError
from datadriver.fleet.selection import Selection, choose_assets, choose_instances

FLEET = tuple(
    Asset(name, {"country": country}) for name, country in [("P-1", "NO"), ("P-2", "GB"), ("a,b", "NO"), ("c d", "GB")]
)


@pytest.fixture
def instances():
    recipe = {"problem": "regression", "estimator": "m:f", "baseline": "m:g"}
    usecase = UseCase.model_validate(
        {
            "name": "pumps",
            "fleet": {"assets": "fleet.csv"},
            "data": {"sources": {"s": {"path": "x.csv", "index": "t"}}},
            "models": {
                "load": recipe,
                "failure": {**recipe, "grid": {"days": [1, 2], "kind": ["x"]}, "fit": ["country"]},
            },
        }
    )
    return expand(usecase, FLEET)


def ids(**asked):
    return [asset.id for asset in choose_assets(FLEET, Selection(**asked))]


def test_nothing_said_is_everything():
    assert ids() == ["P-1", "P-2", "a,b", "c d"]


def test_ids_are_separated_by_commas_unless_an_id_has_one():
    assert ids(assets=("P-2,P-1",)) == ["P-1", "P-2"]
    assert ids(assets=("a,b", "c d")) == ["a,b", "c d"]


def test_where_and_assets_narrow_together():
    assert ids(where='country == "NO"', assets=("P-1,P-2",)) == ["P-1"]
    assert ids(where='asset_id == "P-2"') == ["P-2"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"assets": ("P-1,P-3",)}, "there is no asset 'P-3'"),
        ({"where": 'contry == "NO"'}, "did you mean 'country'"),
        ({"where": 'country == "BR"'}, "matches none of the 4 assets"),
        ({"where": "import os"}, "import os"),
    ],
)
def test_what_does_not_exist_is_named(asked, said):
    with pytest.raises(ConfigError, match=said):
        ids(**asked)


def keys(instances, **asked):
    selection = Selection(**asked)
    return [one.key for one in choose_instances(instances, choose_assets(FLEET, selection), selection)]


def test_the_name_of_a_grid_chooses_its_variants(instances):
    variants = {key.partition("/")[2] for key in keys(instances, models=("failure",))}
    assert len(variants) == 2
    assert keys(instances, models=(min(variants),)) == [f"country={c}/{min(variants)}" for c in ("NO", "GB")]


def test_a_pooled_instance_is_chosen_whole_with_any_of_its_assets(instances):
    assert [key.partition("/")[0] for key in keys(instances, assets=("P-2",), models=("failure",))] == [
        "country=GB",
        "country=GB",
    ]


def test_an_unknown_model_is_named(instances):
    with pytest.raises(ConfigError, match="there is no model 'laod'; did you mean 'load'"):
        keys(instances, models=("laod",))


def test_units_choose_what_is_fitted_for_exactly_these(instances):
    assert keys(instances, units=("P-2",)) == ["P-2/load"]
    units = {key.partition("/")[0] for key in keys(instances, units=("country=NO,P-1", "a,b"))}
    assert units == {"country=NO", "a,b", "P-1"}


def test_an_unknown_unit_is_named_and_an_asset_without_a_model_of_its_own_told_where_it_is_part_of(instances):
    with pytest.raises(ConfigError, match="there is no unit 'country=NOO'; did you mean 'country=NO'"):
        keys(instances, units=("country=NOO",))
    shared = [one for one in instances if one.unit.pooled]
    with pytest.raises(ConfigError, match="'P-2' has no model of its own; it is part of country=GB"):
        keys(shared, units=("P-2",))


def test_units_and_models_that_do_not_meet_are_named(instances):
    with pytest.raises(ConfigError, match=r"none of the chosen units \(P-2\) has models failure and chosen assets"):
        keys(instances, units=("P-2",), models=("failure",))
