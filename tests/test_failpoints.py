"""Failpoints: a process ends at the place that it was told, the time that it was told, and nowhere else."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import datadriver
from datadriver.failpoints import NAMES, VARIABLE

_TWICE = """
from datadriver.failpoints import reach
reach("rows-written")
print(1, flush=True)
reach("rows-written")
print(2)
"""


def reach_twice(text: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, VARIABLE: text}
    return subprocess.run(
        [sys.executable, "-c", _TWICE], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", 0, "1\n2\n"),
        ("rows-written", -signal.SIGKILL, ""),
        ("rows-written:2", -signal.SIGKILL, "1\n"),
        ("rows-written:3", 0, "1\n2\n"),
        ("artefacts-laid", 0, "1\n2\n"),
    ],
)
def test_the_process_is_killed_the_given_time_it_gets_to_the_given_place(text, code, said):
    ended = reach_twice(text)
    assert (ended.returncode, ended.stdout) == (code, said), ended.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [("row-written", "did you mean 'rows-written'"), ("rows-written:0", "'0' in"), ("rows-written:x", "'x' in")],
)
def test_what_is_no_failpoint_is_an_error(text, words):
    ended = reach_twice(text)
    assert ended.returncode == 1
    assert f"ConfigError: {VARIABLE}: " in ended.stderr
    assert words in ended.stderr


def test_every_failpoint_is_somewhere_in_the_code_once():
    calls = [
        node.args[0].value
        for path in Path(datadriver.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "failpoints.reach"
    ]
    assert sorted(calls) == sorted(NAMES)
