"""Opening an image: what is not as it was packaged is refused before anything of it is loaded."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from datadriver.errors import ConfigError, UntrustedModelError
from datadriver.serving.manifest import MANIFEST, PackageManifest


def edit_manifest(image, change: Callable[[PackageManifest], PackageManifest]) -> None:
    (image.model / MANIFEST).write_bytes(change(PackageManifest.read(image.model)).to_bytes())


def test_an_opened_image_has_the_instance_of_the_use_case_and_the_estimator_of_the_champion(image):
    package = image.open()
    (one,) = package.models
    assert one.instance.key == "P-1/temperature"
    assert one.instance.spec.window.lookback is not None
    assert package.main == "sensors"
    assert package.asset().attributes == {"country": "NO"}
    assert hasattr(package.estimator(one), "predict")


def test_an_archive_that_was_tampered_with_is_refused(image):
    archive = image.model / "temperature.skops"
    archive.write_bytes(archive.read_bytes().replace(b"alpha", b"alphb"))
    with pytest.raises(UntrustedModelError, match="is not the one that was packaged"):
        image.open()


def test_an_archive_that_is_missing_is_refused(image):
    (image.model / "temperature.skops").unlink()
    with pytest.raises(UntrustedModelError, match="the archive of P-1/temperature v1 is missing"):
        image.open()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"format": 2}', b"\xff", b'{"format": 1, "models": [{}]}', b'{"format":1,']
)
def test_a_manifest_that_is_none_is_refused(image, content):
    (image.model / MANIFEST).write_bytes(content)
    with pytest.raises(UntrustedModelError, match="is not a manifest of this version of datadriver"):
        image.open()


def test_an_image_without_a_manifest_says_how_to_make_one(image):
    (image.model / MANIFEST).unlink()
    with pytest.raises(UntrustedModelError, match="`datadriver package`"):
        image.open()


def test_a_manifest_that_leads_out_of_its_folder_is_refused(image):
    edit_manifest(image, lambda one: replace(one, models=(replace(one.models[0], path="../usecase/usecase.yaml"),)))
    with pytest.raises(UntrustedModelError, match="leads out of"):
        image.open()


def test_a_type_that_nobody_vouched_for_is_refused_although_its_digest_is_right(image):
    import skops.io  # noqa: PLC0415

    archive = skops.io.dumps(Ridge().fit(np.eye(3), np.arange(3)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            text = source.read(name)
            if name == "schema.json":
                schema = json.loads(text)
                schema["__module__"], schema["__class__"] = "subprocess", "Popen"
                text = json.dumps(schema).encode()
            target.writestr(name, text)
    forged = buffer.getvalue()
    (image.model / "temperature.skops").write_bytes(forged)
    edit_manifest(
        image,
        lambda one: replace(one, models=(replace(one.models[0], sha256=sha256(forged).hexdigest(), size=len(forged)),)),
    )

    package = image.open()
    with pytest.raises(UntrustedModelError, match=r"contains subprocess\.Popen"):
        package.load_all()


def test_a_base_with_other_code_is_refused(image):
    path = image.usecase / "src/tiny/features.py"
    path.write_text(path.read_text("utf-8") + "\n# changed\n", "utf-8")
    with pytest.raises(ConfigError, match="the code of 'tiny' is another here"):
        image.open()


def test_a_base_with_another_contract_is_refused(served, tmp_path, make_image):
    served.guard()
    image = make_image(served.root, tmp_path / "image", "P-1/temperature")
    image.open()
    suite = image.usecase / "contracts/sensors.json"
    suite.write_text(suite.read_text("utf-8").replace("50", "60"), "utf-8")
    with pytest.raises(ConfigError, match="the contract is another here"):
        image.open()


def test_a_base_without_the_model_or_of_another_use_case_is_refused(image):
    file = image.usecase / "usecase.yaml"
    text = file.read_text("utf-8")
    file.write_text(text.replace("\n  temperature:", "\n  heat:"), "utf-8")
    with pytest.raises(ConfigError, match="has no 'temperature' for 'P-1'"):
        image.open()
    file.write_text(text.replace("name: tiny", "name: teeny"), "utf-8")
    with pytest.raises(ConfigError, match="has the use case 'teeny', not 'tiny'"):
        image.open()


def test_what_scoring_does_not_need_is_not_asked_for(image):
    """No variable of stores and senders, and none of a source, whose rows may be given instead."""
    file = image.usecase / "usecase.yaml"
    text = file.read_text("utf-8").replace("tracking: {plots: false}", "tracking: {uri: '${NOWHERE}'}")
    text += "ledger: {uri: '${SECRET_LEDGER}'}\n"
    file.write_text(text.replace("path: sensors.parquet", "path: '${PLANT}/sensors.parquet'"), "utf-8")
    assert image.open().usecase.data.sources["sensors"].path == "${PLANT}/sensors.parquet"

    file.write_text(file.read_text("utf-8").replace("lookback: 2h", "lookback: '${LOOKBACK}'"), "utf-8")
    with pytest.raises(ConfigError, match="environment variable LOOKBACK is not set"):
        image.open()


def test_the_environment_that_was_packaged_applies(served, tmp_path, make_image, pack):
    image = make_image(served.root, tmp_path / "image", "P-1/temperature")
    for root in (image.usecase, served.root):
        file = root / "usecase.yaml"
        file.write_text(file.read_text("utf-8") + "environments: {plant: {data: {resolution: 30min}}}\n", "utf-8")
    edit_manifest(image, lambda one: replace(one, env="plant"))
    assert str(image.open().usecase.data.resolution) == "0:30:00"


def test_a_contract_that_only_great_expectations_can_judge_is_refused_without_it(served, tmp_path, make_image):
    served.guard()
    condition = '"kwargs": {"row_condition": "current > 0", "condition_parser": "pandas", '
    served.edit('"kwargs": {', condition, "contracts/sensors.json")
    image = make_image(served.root, tmp_path / "image", "P-1/temperature")
    image.open()
    program = """
import importlib.util, sys
from pathlib import Path
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "great_expectations" else found(name, *rest)
from datadriver.serving.packaged import open_package
open_package(Path(sys.argv[1]), Path(sys.argv[2]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(image.model), str(image.usecase)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "only Great Expectations can judge (expect_column_values_to_be_between)" in done.stderr


def test_opening_and_scoring_imports_none_of_the_heavy_services(image, served):
    program = """
import sys
from datadriver.serving.packaged import open_package
from datadriver.serving.rows import score_rows
import pandas as pd
package = open_package().load_all()
rows = pd.read_parquet(sys.argv[1])
assert len(score_rows(package, {"sensors": rows[rows["pump"] == "P-1"]})) == 198
print(sorted({name.partition(".")[0] for name in sys.modules}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(served.root / "sensors.parquet")],
        env={
            "DATADRIVER_MODEL": str(image.model),
            "DATADRIVER_ROOT": str(image.usecase),
            "PYTHONPATH": ":".join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    unwanted = {
        "mlflow",
        "great_expectations",
        "airflow",
        "docker",
        "sqlalchemy",
        "alembic",
        "matplotlib",
        "cookiecutter",
    }
    assert not unwanted & set(eval(done.stdout))
