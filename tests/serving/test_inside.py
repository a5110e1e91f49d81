"""The command line inside of an image: what it holds, and scores from documents, files and sources."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest

from datadriver.project import Project
from datadriver.serving.scores import read_scores


def host_scores(root, asset: str = "P-1") -> pd.DataFrame:
    scores = Project.open(root).scores().drop(columns="written_at")
    return scores[scores["asset_id"] == asset].reset_index(drop=True)


def bits(frame: pd.DataFrame, column: str) -> bytes:
    return frame[column].to_numpy("float64").tobytes()


def test_info_prints_an_example_that_predict_can_score(image):
    example = image.run("info", "--example")
    assert example.returncode == 0, example.stderr

    answer = image.run("predict", text=example.stdout)
    assert answer.returncode == 0, answer.stderr
    predictions = json.loads(answer.stdout)["predictions"]
    assert predictions
    assert {"time", "model", "score", "alarm", "version", "verdict"} <= set(predictions[0])


def test_info_says_what_the_image_holds(image):
    said = json.loads(image.run("info", "--json").stdout)
    (model,) = said["models"]
    assert (model["unit"], model["model"], model["version"], model["history"]) == ("P-1", "temperature", 1, "2h")
    assert [name for name, _ in model["features"]] == ["current", "flow", "flow_before"]
    assert len(model["sha256"]) == 64
    text = image.run("info").stdout
    assert "P-1   temperature" in text
    assert "predict" in text


def test_check_verifies_loads_and_scores_an_example(image):
    done = image.run("check")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok  P-1/temperature v1")
    assert "no score" not in done.stdout


def test_check_says_what_is_wrong(image):
    (image.model / "temperature.skops").write_bytes(b"nothing")
    done = image.run("check", "--json")
    assert done.returncode == 3
    assert "is not the one that was packaged" in json.loads(done.stdout)["error"]["message"]


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_a_mounted_file_gives_the_scores_of_the_host_to_the_last_bit(image, served, tmp_path, kind):
    data, path = served.data(), tmp_path / f"rows.{kind}"
    if kind == "parquet":
        data.to_parquet(path)
    elif kind == "csv":
        data.to_csv(path, index=False)
    else:
        lines = (json.dumps(row) for row in data.assign(ts=data["ts"].map(str)).to_dict("records"))
        path.write_text("\n".join(lines), "utf-8")

    done = image.run("score", "--rows", f"sensors={path}")
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(io.StringIO(done.stdout))
    host = host_scores(served.root)
    assert len(found) == 48
    for name in ("score", "actual", "residual"):
        assert bits(found, name) == bits(host, name), name
    assert found["alarm"].tolist() == host["alarm"].tolist()
    assert found["result_key"].tolist() == host["result_key"].tolist()


def test_json_lines_on_stdout_and_a_dataset_hold_the_same(image, served, tmp_path):
    rows = ["--rows", str(served.root / "sensors.parquet"), "--start", "2026-03-02", "--end", "2026-03-03"]
    lines = image.run("score", *rows, "--format", "jsonl")
    records = [json.loads(line) for line in lines.stdout.splitlines()]
    written = image.run("score", *rows, "--out", str(tmp_path / "out"))
    assert "24 scores" in written.stdout

    kept = read_scores(str(tmp_path / "out"))
    assert [record["score"] for record in records] == kept["score"].tolist()
    assert len(records) == 24


def test_the_sources_of_the_use_case_are_read_where_no_file_is_given(image, served):
    (image.usecase / "sensors.parquet").write_bytes((served.root / "sensors.parquet").read_bytes())
    found = pd.read_csv(io.StringIO(image.run("score").stdout))
    assert bits(found, "score") == bits(host_scores(served.root), "score")


def test_a_document_gives_the_scores_of_the_host_to_the_last_bit(image, served, rows):
    host = host_scores(served.root)
    text = rows.assign(ts=rows["ts"].map(str)).drop(columns="pump")
    document = {"dataframe_split": {"columns": list(text.columns), "data": text.to_numpy().tolist()}}
    window = ["--start", host["time"].iloc[0].isoformat()]
    answer = image.run("predict", *window, text=json.dumps(document))
    assert answer.returncode == 0, answer.stderr
    said = json.loads(answer.stdout)
    assert [one["score"] for one in said["predictions"]] == host["score"].tolist()
    assert "unscored" not in said


def test_one_asset_without_data_does_not_stop_the_others(served, tmp_path, make_image):
    image = make_image(served.root, tmp_path / "image", "P-1/temperature", "P-2/temperature")
    data = served.data()
    data[data["pump"] == "P-1"].to_parquet(tmp_path / "rows.parquet")
    done = image.run("score", "--rows", str(tmp_path / "rows.parquet"), "--json")
    assert done.returncode == 6
    said = json.loads(done.stdout)
    assert {one["asset_id"] for one in said["predictions"]} == {"P-1"}
    assert said["failed"][0]["name"] == "P-2/temperature"
    assert image.run("score", "--rows", str(tmp_path / "rows.parquet"), "--assets", "P-2").returncode == 3


@pytest.mark.parametrize(
    ("arguments", "text", "code", "words"),
    [
        (["predict"], "not json", 3, "the body is not JSON"),
        (["predict"], '{"sources": {"sensor": {"columns": ["ts"], "data": [[1]]}}}', 2, "did you mean 'sensors'"),
        (["predict", "--asset", "P-11"], '{"instances": [{"ts": "2026-01-01"}]}', 2, "no asset 'P-11'"),
        (["score", "--rows", "sensor=/x.csv"], "", 2, "scoring reads no source 'sensor'; did you mean 'sensors'"),
        (["score", "--rows", "/nowhere/x.parquet"], "", 3, "does not exist"),
        (["score", "--rows", "/nowhere/x.jsonl"], "", 3, "does not exist"),
        (["score", "--start", "soon"], "", 2, "'soon' is not a time"),
        (["scores"], "", 2, "No such command 'scores'"),
    ],
)
def test_what_is_wrong_ends_with_its_exit_code_and_a_sentence(image, arguments, text, code, words):
    done = image.run(*arguments, text=text)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_feature_function_that_raises_ends_with_code_4(served, tmp_path, make_image):
    served.edit("    return frame[[", "    frame['vibration']\n    return frame[[", "src/tiny/features.py")
    image = make_image(served.root, tmp_path / "image", "P-1/temperature")
    done = image.run("score", "--rows", str(served.root / "sensors.parquet"))
    assert done.returncode == 4
    assert "'vibration'" in done.stderr
