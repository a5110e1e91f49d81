"""The simulator keeps its promises: seeds, physics, faults and dirt."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pumps.simulate import Settings, main, make_fleet, simulate_pump
from pumps.simulator.dirt import SHARES
from pumps.simulator.faults import Fault, severity

CLEAN = Settings(days=40, kinds=())


def frame(index: int, settings: Settings = CLEAN) -> pd.DataFrame:
    export = simulate_pump(index, settings).export
    return pd.DataFrame(export.values, index=pd.DatetimeIndex(export.stamps))


def test_a_pump_does_not_depend_on_the_size_of_its_fleet(tmp_path: Path) -> None:
    for count in (2, 5):
        make_fleet(count, Settings(days=5), tmp_path / str(count))
    small, large = (pd.read_csv(tmp_path / count / "fleet.csv") for count in ("2", "5"))
    assert small.equals(large.head(2))
    for path in (tmp_path / "2" / "sensors").iterdir():
        assert path.read_bytes() == (tmp_path / "5" / "sensors" / path.name).read_bytes()


def test_another_seed_is_another_fleet() -> None:
    assert not frame(0).equals(frame(0, Settings(days=40, kinds=(), seed=8)))


def test_asset_ids_are_unique() -> None:
    ids = [simulate_pump(index, Settings(days=1, resolution_s=3600)).plate.asset_id for index in range(200)]
    assert len(set(ids)) == 200
    assert any("/" in name and " " in name for name in ids)
    assert any("#" in name for name in ids)


@pytest.mark.parametrize("index", range(6))
def test_a_running_pump_lifts_heats_and_draws_current(index: int) -> None:
    readings = frame(index)
    on = readings[readings["frequency"] > 40]
    assert (on["discharge_pressure"] > on["intake_pressure"] + 20).mean() > 0.999
    assert on["motor_temperature"].between(60, 175).all()
    assert on["flow"].gt(0).all()
    assert on["current"].between(10, 200).all()


def test_more_speed_gives_more_flow_lift_and_heat() -> None:
    readings = frame(3)
    on = readings[readings["frequency"] > 40].resample("6h").mean().dropna()
    ranks = on.corrwith(on["frequency"], method="spearman")
    assert ranks["flow"] > 0.5
    assert ranks["current"] > 0.5
    assert ranks["intake_pressure"] < 0


def test_a_fault_grows_from_onset_to_failure_and_is_gone_after() -> None:
    days = np.array([9.0, 10.0, 15.0, 19.9, 20.1])
    grown = severity((Fault("bearing", 10, 20, 25),), days)["bearing"]
    assert grown[0] == 0
    assert 0 < grown[2] < grown[3] < 1
    assert grown[4] == 0


def test_every_kind_of_dirt_is_planted_and_on_record() -> None:
    for kind in SHARES:
        clean = simulate_pump(1, Settings(days=60, kinds=()))
        dirty = simulate_pump(1, Settings(days=60, kinds=(kind,)))
        assert [planted.kind for planted in dirty.planted] == [kind]
        assert dirty.planted[0].start < dirty.planted[0].end
        same = len(clean.export.stamps) == len(dirty.export.stamps) and not dirty.export.words
        assert not (
            same
            and (clean.export.stamps == dirty.export.stamps).all()
            and all((clean.export.values[tag] == dirty.export.values[tag]).all() for tag in clean.export.values)
        ), kind


def test_the_command_writes_a_fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--assets", "3", "--days", "10", "--resolution", "1h", "--out", str(tmp_path), "--workers", "1"])
    assert "3 pumps, 10 days" in capsys.readouterr().out
    assert len(list((tmp_path / "sensors").glob("*.parquet"))) == 3
    maintenance = pd.read_csv(tmp_path / "maintenance.csv", parse_dates=["done_on", "entered_on"])
    assert (maintenance["entered_on"] > maintenance["done_on"]).all()
    assert {path.name for path in (tmp_path / "truth").iterdir()} == {"dirt.csv", "faults.csv"}
