"""The command contract: exit codes, one JSON document, sentences instead of tracebacks."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from datadriver.cli.app import COMMANDS, app
from datadriver.cli.boundary import run
from datadriver.errors import DataError, UnavailableError

HEAVY = {"pandas", "sklearn", "mlflow", "great_expectations", "airflow", "sqlalchemy", "pydantic", "rich", "numpy"}


def one_document(done):
    """Parse stdout, which must be one JSON document and nothing else."""
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("trian",), 2, "did you mean 'train' or 'track'?"),
        (("train", "--wrokers", "2"), 2, "--wrokers"),
        (("train", "--workers", "0"), 2, "--workers"),
        (("train", "--assets", "P-3"), 2, "there is no asset 'P-3'; did you mean"),
        (("train", "--models", "temprature"), 2, "there is no model 'temprature'; did you mean 'temperature'?"),
        (("train", "--where", 'contry == "NO"'), 2, "no asset has an attribute 'contry'; did you mean 'country'?"),
        (("train", "--where", 'country == "BR"'), 2, "matches none of the 3 assets"),
        (("train", "--until", "yesterday"), 2, "'yesterday' is not a time"),
        (("score", "--start", "2026-03-02", "--end", "2026-03-01"), 2, "is empty"),
        (("score",), 2, "none of the 3 chosen instances has a champion"),
        (("rollback",), 2, "no release"),
        (("train", "--env", "prod"), 2, "prod"),
        (("status", "--project", "/"), 2, "usecase.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes_on_the_command_line_are_sentences_with_a_code(tiny, capsys, arguments, code, said):
    arguments = arguments if "--project" in arguments else (*arguments, "--project", str(tiny.root))
    assert run(arguments) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.startswith("error: ")
    assert "Traceback" not in told.err
    assert run([*arguments, "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["exit_code"] == code
    assert said in document["error"]["message"]
    assert document["error"]["problems"]


def test_every_mistake_in_the_file_is_listed_at_once(tiny):
    tiny.edit("estimator:", "estimatr:")
    tiny.edit("resolution: 1h", "resolution: often")
    done = tiny.run("check")
    assert done.returncode == 2
    assert "estimatr" in done.stderr
    assert "did you mean 'estimator'?" in done.stderr
    assert "often" in done.stderr
    problems = one_document(tiny.run("check", "--json"))["error"]["problems"]
    assert len(problems) >= 2


def test_train_looks_for_mistakes_before_it_touches_data(tiny):
    tiny.edit("tiny.features:load", "tiny.features:laod")
    done = tiny.run("train")
    assert done.returncode == 2
    assert "did you mean" in done.stderr
    assert not (tiny.root / ".datadriver" / "tmp").exists()


def test_a_fleet_that_the_contract_rejects_whole_ends_with_3(tiny):
    tiny.guard()
    tiny.write(tiny.data().assign(flow=900.0))
    done = tiny.run("validate", "--workers", "2")
    assert done.returncode == 3, done.stderr
    assert "3 reject of 3 assets" in done.stdout
    assert "flow" in done.stdout


def test_code_of_the_use_case_that_raises_ends_with_4_and_shows_its_traceback_only_with_v(tiny):
    tiny.edit('frame["flow"].shift(1)', 'frame["flwo"].shift(1)', "src/tiny/features.py")
    done = tiny.run("train", "--assets", "P-1")
    assert done.returncode == 4, done.stderr
    assert "KeyError: 'flwo'" in done.stdout
    assert "features.py" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    loud = tiny.run("train", "--assets", "P-1", "-v", "--json")
    assert loud.returncode == 4
    assert one_document(loud)["error"]["exit_code"] == 4
    assert "Traceback" in loud.stderr


def test_the_commands_tell_their_results_as_one_json_document_each(served):
    documents = {
        command: one_document(served.run(*command.split(), "--json"))
        for command in ("status", "train --plan", "train", "diff", "promote", "releases", "check", "schema", "score")
    }
    assert [(line["unit"], line["champion_version"], line["state"]) for line in documents["status"]["instances"]] == [
        (asset, 1, "champion") for asset in served.assets
    ]
    assert set(documents["status"]["instances"][0]) >= {
        "unit",
        "model",
        "champion_version",
        "state",
        "reason",
        "metrics",
    }
    assert documents["train --plan"]["due"] == 0
    assert documents["train"]["instances"] == []
    assert documents["promote"]["release"] is None
    assert [release["id"] for release in documents["releases"]["releases"]] == [1]
    assert documents["check"] == {"problems": []}
    assert documents["score"]["up_to_date"] == 3


def test_quiet_says_nothing_and_the_exit_code_remains(served):
    done = served.run("train", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_asset_id_with_commas_or_blanks_can_be_named(served):
    done = served.run("status", "--assets", "15/9-F-1 C", "--json")
    assert [line["unit"] for line in one_document(done)["instances"]] == ["15/9-F-1 C"]


def test_a_reader_who_has_gone_does_no_harm(served):
    done = subprocess.run(
        f"{sys.executable} -m datadriver schema | true; echo ${{PIPESTATUS[0]}}",
        cwd=served.root,
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["141"]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyError("x"), 1, "a bug in datadriver"),
        (DataError("P-1: no rows"), 3, "P-1: no rows"),
        (OSError(28, "No space left on device", "/x"), 5, "the disk is full"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.UsageError("--x is wrong"), 2, "--x is wrong"),
        (UnavailableError("the server is down"), 5, "the server is down"),
    ],
)
def test_every_way_to_end_has_its_code(error, code, said, capsys):
    @click.command()
    @click.option("--json", is_flag=True)
    def broken(json: bool) -> None:
        raise error

    assert run([], broken) == code
    told = capsys.readouterr()
    assert said in told.err
    assert ("Traceback" in told.err) == (code == 1)
    assert run(["--json"], broken) == code
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == code


def test_a_bug_asks_for_a_report(capsys):
    @click.command()
    def broken() -> None:
        raise ZeroDivisionError("division by zero")

    run([], broken)
    assert "please report it" in capsys.readouterr().err


def test_what_libraries_print_does_not_get_into_a_json_document(capsys):
    @click.command()
    @click.option("--json", "as_json", is_flag=True)
    @click.pass_obj
    def chatty(output, as_json) -> None:
        print("a library says hello")  # noqa: T201
        output.document({"done": True, "mae": float("nan")})

    assert run(["--json"], chatty) == 0
    assert json.loads(capsys.readouterr().out) == {"done": True, "mae": None}


def test_help_loads_nothing_heavy_and_lists_every_command():
    program = (
        "import sys, datadriver.cli\n"
        "try: datadriver.cli.main(['--help'])\n"
        "except SystemExit: print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    shown, _, modules = done.stdout.rpartition("[")
    assert not HEAVY & set(ast.literal_eval("[" + modules))
    assert all(f"\n  {name}" in shown for name in COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself_as_the_table_does(name):
    command = app.get_command(click.Context(app), name)
    assert command.name == name
    assert command.short_help == COMMANDS[name]
    assert command.help
    options = {option for parameter in command.params for option in parameter.opts}
    if not isinstance(command, click.Group):
        assert {"--json", "-v", "-q"} <= options


def test_commands_that_work_on_a_use_case_take_it_and_its_environment():
    for name in set(COMMANDS) - {"new", "schema"}:
        command = app.get_command(click.Context(app), name)
        for one in command.commands.values() if isinstance(command, click.Group) else [command]:
            assert {"--project", "--env"} <= {option for parameter in one.params for option in parameter.opts}, name


def test_a_terminated_command_ends_as_a_killed_process_does(tiny):
    tiny.edit("import pandas as pd", "import pandas as pd, time\ntime.sleep(60)", "src/tiny/features.py")
    process = subprocess.Popen(
        [sys.executable, "-m", "datadriver", "train", "--workers", "1"],
        cwd=tiny.root,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tiny.root / ".datadriver" / "tmp").exists():
        assert process.poll() is None
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    process.stderr.close()


def test_every_module_of_the_command_line_is_a_command_or_part_of_the_frame():
    frame = {"__init__", "app", "boundary", "inside", "options", "output", "progress", "reports", "reference"}
    package = Path(sys.modules["datadriver.cli"].__file__).parent
    assert {path.stem for path in package.glob("*.py")} == frame | set(COMMANDS)
