"""Answers of the workers, several at a time."""

from __future__ import annotations

import textwrap
import time

import pytest

from datadriver.fleet.pool import Workers
from datadriver.fleet.worker import Call


@pytest.fixture
def workers(tmp_path, monkeypatch):
    (tmp_path / "group_jobs.py").write_text(
        textwrap.dedent("""
            import pathlib, time

            def double(x): return 2 * x

            def wait_for(path):
                while not pathlib.Path(path).exists(): time.sleep(0.01)
                return path
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    with Workers(1, environment={}) as crew:
        yield crew


def test_answers_come_in_groups_of_the_size_asked_for_and_the_rest(workers):
    calls = [Call("group_jobs:double", number) for number in range(7)]
    groups = list(workers.groups(calls, size=3, seconds=60))
    assert [[answer.value for _, answer in group] for group in groups] == [[0, 2, 4], [6, 8, 10], [12]]


def test_an_answer_waits_only_so_long_for_others(workers, tmp_path):
    done = tmp_path / "done"
    groups = workers.groups([Call("group_jobs:double", 1), Call("group_jobs:wait_for", str(done))], size=9, seconds=0.1)
    assert [answer.value for _, answer in next(groups)] == [2]
    done.touch()
    assert [answer.value for _, answer in next(groups)] == [str(done)]
    assert list(groups) == []


def test_what_was_answered_before_the_calls_broke_off_is_not_lost(workers):
    def calls():
        yield Call("group_jobs:double", 1)
        time.sleep(0.5)
        raise LookupError("no more")

    groups = workers.groups(calls(), size=9, seconds=60)
    assert [answer.value for _, answer in next(groups)] == [2]
    with pytest.raises(LookupError):
        next(groups)
