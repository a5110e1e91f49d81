"""Worker processes: answers, deaths, and the end of their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from datadriver.config.sections import Workers as UseCaseWorkers
from datadriver.errors import DatadriverError, UnavailableError, UseCaseError
from datadriver.fleet.limits import Limits, limits_of, machine_memory
from datadriver.fleet.pool import Workers
from datadriver.fleet.worker import Call


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Importable functions for workers to call."""
    (tmp_path / "pool_jobs.py").write_text(
        textwrap.dedent("""
            import os, signal, subprocess, sys, time
            from datadriver.errors import DataError

            def double(x): return 2 * x
            def environment(name): return os.environ.get(name)
            def data_error(x): raise DataError(f"{x} has no rows")
            def bug(x): return {}[x]
            def leave(code): os._exit(code)
            def die(number): os.kill(os.getpid(), number)
            def pid(x): return os.getpid()
            def unpicklable(x): return lambda: x
            def chatter(x): print("to stdout"); os.write(1, b"to fd 1"); return x
            def full_disk(x): raise OSError(28, "No space left on device", "/data/model.skops")
            def sleep(seconds): open(os.environ["MARK"], "w").write(str(os.getpid())); time.sleep(seconds)
            def nap(x): time.sleep(0.7)
            def hang(x):
                while True: x += 1
            def hang_with_a_child(mark):
                child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
                open(mark, "w").write(str(child.pid))
                time.sleep(100)
            def grow(x):
                kept = []
                while True:
                    kept.append(bytearray(b"x" * 10_000_000)); time.sleep(0.01)
            def ask_for_too_much(x): return len(bytearray(x))
            def talk(x): os.write(2, b"x" * 3_000_000); return os.fstat(2).st_size
            def close_stdout_and_wait(x):
                import gc
                for fd in range(3, 20):
                    try: os.close(fd)
                    except OSError: pass
                time.sleep(100)
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def run(*calls, workers=1, environment=None, limits=None):
    made = [Call(f"pool_jobs:{name}", argument) for name, argument in calls]
    with Workers(workers, environment=environment or {}, limits=limits) as crew:
        return {(call.function.partition(":")[2], call.argument): answer for call, answer in crew.answers(made)}


def test_every_call_is_answered_once_by_as_many_workers_as_asked_for(jobs):
    found = run(*(("double", x) for x in range(20)), workers=2)
    assert {argument: answer.value for (_, argument), answer in found.items()} == {x: 2 * x for x in range(20)}


def test_workers_get_the_environment_and_keep_their_process_between_calls(jobs):
    found = run(("environment", "OMP_NUM_THREADS"), ("pid", 1), ("pid", 2), environment={"OMP_NUM_THREADS": "1"})
    assert found["environment", "OMP_NUM_THREADS"].value == "1"
    assert found["pid", 1].value == found["pid", 2].value != os.getpid()


def test_an_error_is_an_answer_and_keeps_its_class(jobs):
    found = run(("data_error", "P-101"), ("bug", "x"), ("unpicklable", 1), ("full_disk", 1), ("double", 4))
    assert found["data_error", "P-101"].error.exit_code == 3
    assert found["bug", "x"].error.exit_code == 1
    assert "KeyError: 'x'" in found["bug", "x"].error.message
    assert "Traceback" in found["bug", "x"].trace
    assert type(found["unpicklable", 1].error) is DatadriverError
    assert isinstance(found["full_disk", 1].error, UnavailableError)
    assert "disk is full" in found["full_disk", 1].error.message
    assert found["double", 4].value == 8


def test_a_worker_that_dies_costs_its_own_call_only(jobs):
    found = run(
        ("double", 1), ("leave", 7), ("die", signal.SIGKILL), ("die", signal.SIGSEGV), ("leave", 0), ("double", 2)
    )
    assert isinstance(found["leave", 7].error, UseCaseError)
    assert "exit code 7" in found["leave", 7].error.message
    assert isinstance(found["die", signal.SIGKILL].error, UnavailableError)
    assert "memory" in found["die", signal.SIGKILL].error.message
    assert "SIGSEGV" in found["die", signal.SIGSEGV].error.message
    assert found["leave", 0].error is not None
    assert (found["double", 1].value, found["double", 2].value) == (2, 4)


def test_a_job_that_hangs_is_ended_and_says_where_it_was(jobs):
    found = run(("double", 1), ("hang", 1), ("double", 2), limits=Limits(seconds=0.5))
    error = found["hang", 1].error
    assert isinstance(error, UseCaseError), "a hang is the use case's: trying again does not help"
    assert "was not done after 500ms" in error.message
    assert "workers.timeout" in error.message
    assert "it was at pool_jobs.py, line 18, in hang" in error.message
    assert 'pool_jobs.py", line 18 in hang' in found["hang", 1].trace
    assert (found["double", 1].value, found["double", 2].value) == (2, 4)


def test_a_job_that_is_stopped_is_ended_too(jobs):
    found = run(("die", signal.SIGSTOP), ("double", 2), limits=Limits(seconds=0.5))
    assert "was not done after 500ms" in found["die", signal.SIGSTOP].error.message
    assert found["double", 2].value == 4


def test_a_job_takes_the_processes_that_it_started_along(jobs):
    mark = jobs / "mark"
    run(("hang_with_a_child", str(mark)), limits=Limits(seconds=2))
    _wait_for(lambda: not _alive(int(mark.read_text())))


def test_the_time_of_one_job_does_not_count_for_the_next(jobs):
    found = run(*(("nap", n) for n in range(4)), limits=Limits(seconds=2.5))
    assert [answer.error for answer in found.values()] == [None] * 4


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not say how much memory is used")
def test_a_job_that_outgrows_its_memory_costs_itself_only(jobs):
    found = run(("double", 1), ("grow", 1), ("double", 2), limits=Limits(memory=200_000_000))
    assert isinstance(found["grow", 1].error, UseCaseError)
    assert "more than the 0.2 GB that it may" in found["grow", 1].error.message
    assert "workers.memory" in found["grow", 1].error.message
    assert (found["double", 1].value, found["double", 2].value) == (2, 4)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_a_request_for_far_too_much_memory_is_refused_with_a_traceback(jobs):
    found = run(("pid", 1), ("ask_for_too_much", 10**11), ("pid", 2), limits=Limits(memory=10**9))
    error = found["ask_for_too_much", 10**11].error
    assert isinstance(error, UseCaseError)
    assert "ran out of memory" in error.message
    assert "in ask_for_too_much" in found["ask_for_too_much", 10**11].trace
    assert found["pid", 1].value == found["pid", 2].value, "the process lives on"


class Strange:
    """What a worker cannot take out of its pickle."""

    def __reduce__(self):
        return __import__, ("no_such_module_anywhere",)


def test_a_call_that_a_worker_cannot_understand_is_answered(jobs):
    strange = Strange()
    found = run(("double", strange), ("double", 2))
    assert "no_such_module_anywhere" in found["double", strange].error.message
    assert found["double", 2].value == 4


def test_a_worker_that_gave_up_its_pipe_is_no_reason_to_wait_for_ever(jobs):
    found = run(("close_stdout_and_wait", 1), ("double", 2))
    assert found["close_stdout_and_wait", 1].error is not None
    assert found["double", 2].value == 4


def test_what_workers_say_does_not_pile_up(jobs):
    found = run(*(("talk", n) for n in range(4)))
    assert max(answer.value for answer in found.values()) < 2 * 3_000_000


def test_the_default_limits_are_a_share_of_the_machine():
    half = limits_of(UseCaseWorkers(), 2)
    assert half.seconds == 3600
    assert half.memory == machine_memory() // 2
    told = limits_of(UseCaseWorkers(timeout="90s", memory="1.5GB"), 2)
    assert told == Limits(90, 1_500_000_000)


def test_an_exception_in_the_consumer_leaves_no_thread_that_starts_workers_again(jobs, monkeypatch):
    mark = jobs / "mark"
    monkeypatch.setenv("MARK", str(mark))
    calls = (Call("pool_jobs:double", n) if n else Call("pool_jobs:sleep", 60) for n in range(10))
    stream = None
    try:
        with Workers(2, environment={}) as crew:
            stream = crew.answers(calls)
            next(stream)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert not any(thread.name.startswith("datadriver-worker") for thread in threading.enumerate())
    _wait_for(lambda: not mark.exists() or not mark.read_text() or not _alive(int(mark.read_text())))


def test_workers_stay_for_the_next_round_of_calls(jobs):
    with Workers(1, environment={}) as crew:
        rounds = [[answer.value for _, answer in crew.answers([Call("pool_jobs:pid", n)])] for n in range(2)]
    assert rounds[0] == rounds[1]
    _wait_for(lambda: not _alive(rounds[0][0]))


def test_what_jobs_print_does_not_disturb_the_answers(jobs, capfd):
    assert run(("chatter", 3))["chatter", 3].value == 3
    assert capfd.readouterr().out == ""


def test_calls_are_taken_only_as_answers_are_consumed(jobs):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield Call("pool_jobs:double", len(taken))

    with Workers(1, environment={}) as crew:
        stream = crew.answers(endless())
        for _ in range(5):
            next(stream)
        stream.close()
    assert len(taken) <= 8


def test_closing_early_ends_the_workers(jobs, monkeypatch):
    mark = jobs / "mark"
    monkeypatch.setenv("MARK", str(mark))
    with Workers(1, environment={}) as crew:
        stream = crew.answers([Call("pool_jobs:double", 1), Call("pool_jobs:sleep", 60)])
        next(stream)
        _wait_for(mark.exists)
        _wait_for(mark.read_text)
        stream.close()
    _wait_for(lambda: not _alive(int(mark.read_text())))


def test_a_killed_parent_takes_its_workers_with_it_even_in_the_middle_of_a_job(jobs, monkeypatch):
    mark = jobs / "mark"
    script = jobs / "parent.py"
    # No `if __name__ == "__main__"` on purpose: a script or notebook cell needs none.
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(jobs)!r})\n"
        "from datadriver.fleet.pool import Workers\n"
        "from datadriver.fleet.worker import Call\n"
        "crew = Workers(1, environment={})\n"
        "print([answer.value for _, answer in crew.answers([Call('pool_jobs:double', 3)])], flush=True)\n"
        "list(crew.answers([Call('pool_jobs:sleep', 60)]))\n"
    )
    parent = subprocess.Popen(
        [sys.executable, str(script)], env={**os.environ, "MARK": str(mark)}, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout.readline() == "[6]\n"
    _wait_for(lambda: mark.exists() and mark.read_text())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _wait_for(lambda: not _alive(int(mark.read_text())))


def _wait_for(condition, seconds=20):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
