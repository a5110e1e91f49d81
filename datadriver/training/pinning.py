"""The environment in which floating-point work gives the same bytes whatever the CPU.

numpy and OpenBLAS choose their kernels by the CPU when they are imported: a process must be started with these
variables. Setting them later is half applied. docs/adr/0008.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

_THREADS = dict.fromkeys(
    (
        "BLIS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)

_KERNELS = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}

PINNED: dict[str, str] = {
    **_THREADS,
    **(_KERNELS if platform.machine().lower() in {"x86_64", "amd64"} else {}),
    "PYTHONHASHSEED": "0",
}
"""Environment variables for every process that fits or scores: one thread, one set of kernels, one order of sets."""


def missing(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what an environment lacks to be pinned; empty means that results are reproducible here."""
    return {name: value for name, value in PINNED.items() if environment.get(name) != value}
