"""From `docker run` to the first prediction on stdout, beside the least that a prediction needs of libraries.

Both run in the same image, one after the other, without a network. The other one is `docker run` of
`python -c "import sklearn, pandas"`. Both times have the start of a container in them, and everything that was compiled
and cached before; the first pair warms up and does not count. Processor time is that of the processes inside.

    python benchmarks/images_start.py IMAGE --repeats 9
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from typing import Any

LEAST = "import sklearn, pandas; print('ready', flush=True)"
ASIDE = """
import os, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(os.times().children_user + os.times().children_system)
"""


def cold_start(image: str, repeats: int = 9) -> dict[str, Any]:
    """Measure one image: medians of seconds by the clock and of the processor, and their ratios.

    Args:
        image: of models; the engine has it.
        repeats: pairs of runs that count; a third of as many measure processor time.

    Raises:
        subprocess.CalledProcessError: the image does not run, or has no answer to its own example.
    """
    document = _docker(image, "info", "--example").stdout
    least, predict = ("python", "-c", LEAST), ("datadriver-model", "predict")
    pairs = [(_first_line(image, predict, document), _first_line(image, least)) for _ in range(repeats + 1)][1:]
    cpu = [(_cpu(image, predict, document), _cpu(image, least)) for _ in range(max(3, repeats // 3))]
    first, beside = (statistics.median(column) for column in zip(*pairs, strict=True))
    busy, least_busy = (statistics.median(column) for column in zip(*cpu, strict=True))
    return {
        "first_prediction_s": round(first, 3),
        "import_sklearn_pandas_s": round(beside, 3),
        "ratio": round(first / beside, 3),
        "ratios": sorted(round(one / other, 2) for one, other in pairs),
        "first_prediction_cpu_s": round(busy, 3),
        "import_sklearn_pandas_cpu_s": round(least_busy, 3),
        "cpu_ratio": round(busy / least_busy, 3),
    }


def _first_line(image: str, command: tuple[str, ...], given: bytes = b"") -> float:
    """Return the seconds from `docker run` until the first line of output is here."""
    call = [*_run("--entrypoint", command[0]), image, *command[1:]]
    started = time.perf_counter()
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(given)
        process.stdin.close()
        line = process.stdout.readline()
        taken = time.perf_counter() - started
        process.stdout.read()
    if process.returncode or not line.strip():
        raise subprocess.CalledProcessError(process.returncode, call)
    return taken


def _cpu(image: str, command: tuple[str, ...], given: bytes = b"") -> float:
    """Return the processor seconds of a command inside."""
    call = [*_run("--entrypoint", "python"), image, "-c", ASIDE, *command]
    return float(subprocess.run(call, input=given, stdout=subprocess.PIPE, check=True).stdout)


def _docker(image: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*_run(), image, *arguments], stdout=subprocess.PIPE, check=True)


def _run(*options: str) -> list[str]:
    return ["docker", "run", "--rm", "--interactive", "--network", "none", *options]


def main() -> None:
    """Measure the image that is named, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("--repeats", type=int, default=9, metavar="N")
    given = parser.parse_args()
    print(json.dumps(cold_start(given.image, given.repeats), indent=2))


if __name__ == "__main__":
    main()
