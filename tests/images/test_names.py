"""Whatever a plant calls its machines, their images have names that Docker accepts, and each its own."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datadriver.config.package_section import PREFIX
from datadriver.errors import ConfigError
from datadriver.images.names import (
    asset_repository,
    base_repository,
    check_length,
    check_name,
    model_repository,
    prefix_of,
)

# As github.com/distribution/reference writes it (v0.6.0, regexp.go): separators are [_.], __ and [-]+, and a name with
# its registry has 255 characters at most.
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
PLANT = st.text() | st.text("aB1._-/ å", max_size=12) | st.from_regex(r"[a-z0-9]([._-]{0,3}[a-z0-9])*", fullmatch=True)


@given(PLANT, PLANT)
@example("", "")
@example("a_-b", "a___b")
@example("x" * 300, "É" * 300)
@example("\ud800", "\0")
def test_docker_accepts_every_name(unit: str, model: str) -> None:
    for name in (model_repository("pumps", unit, model), asset_repository("pumps", unit), prefix_of(unit)):
        assert REPOSITORY.fullmatch(name)
    host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com:443"
    check_length(host, "company/fleet/pumps")
    assert len(f"{host}/{model_repository('company/fleet/pumps', unit, model)}") <= 255


@given(st.tuples(PLANT, PLANT), st.tuples(PLANT, PLANT))
@example(("a.b", "c"), ("a", "b.c"))
@example(("P-1", "m"), ("p-1", "m"))
@example(("a_-b", "m"), ("a--b", "m"))
def test_different_instances_have_different_names(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (model_repository("pumps", *one) == model_repository("pumps", *other)) == (one == other)
    assert (asset_repository("pumps", one[0]) == asset_repository("pumps", other[0])) == (one[0] == other[0])


@given(PLANT, PLANT, PLANT)
@example("a.m", "a", "m")
@example("base", "base", "base")
def test_images_of_assets_of_models_and_the_base_never_share_a_name(asset: str, unit: str, model: str) -> None:
    names = {asset_repository("pumps", asset), model_repository("pumps", unit, model), base_repository("pumps")}
    assert len(names) == 3


@pytest.mark.parametrize("name", ["p-101", "motor_temperature", "a--b", "a__b", "well-00000007"])
def test_names_that_docker_allows_stay(name: str) -> None:
    assert asset_repository("pumps", name) == f"pumps/{name}"


@given(st.from_regex(PREFIX, fullmatch=True))
def test_a_prefix_that_the_configuration_allows_is_one_that_docker_allows(prefix: str) -> None:
    assert REPOSITORY.fullmatch(prefix_of("pumps", prefix))


@given(PLANT, PLANT)
def test_every_name_of_ours_passes_our_own_check(unit: str, model: str) -> None:
    check_name(f"{model_repository('pumps', unit, model)}:v3")


@pytest.mark.parametrize("name", ["Pumps/a:v1", "pumps//a:v1", "pumps/a", "pumps/a___b:v1", "pumps/a:v 1", "a/.b:v1"])
def test_a_name_that_docker_does_not_allow_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="Docker does not allow this name"):
        check_name(name)


def test_a_prefix_that_leaves_no_room_for_names_is_refused() -> None:
    check_length(None, "p" * 127)
    with pytest.raises(ConfigError, match=r"package\.prefix: .* is 139 characters; Docker allows 255"):
        check_length("registry:5000", "p" * 124)
