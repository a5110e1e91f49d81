"""What an MLflow run of one training says: parameters, metrics, tags and files, as plain values."""

from __future__ import annotations

import json
import math
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from datadriver.config.fleet import Instance
from datadriver.tracking.environment import versions
from datadriver.tracking.records import VerdictRecord, instant_text, plain

if TYPE_CHECKING:
    from datadriver.data.window import Window
    from datadriver.training.results import TrainResult

DATA_TAG = ("mlflow.data.context", "training")
"""Name and value of the tag that says what a run used its data for."""

_LONGEST = 5000  # characters of a parameter or tag that every MLflow store takes


@dataclass(frozen=True)
class RunContent:
    """The content of one run; the keys are ones that MLflow accepts.

    `data` are the fields of MLflow's `Dataset`: which data went into the run. `summary` is its decision in one line.
    """

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: Mapping[str, bytes]
    data: Mapping[str, str]
    summary: str


def run_content(
    instance: Instance,
    result: TrainResult,
    *,
    code_digest: str,
    code_revision: str | None,
    verdicts: Sequence[VerdictRecord],
) -> RunContent:
    """Lay out one training for people who look at it in MLflow."""
    return RunContent(
        params=_params(instance, result),
        metrics=_metrics(result),
        tags=_tags(instance, result, code_digest=code_digest, code_revision=code_revision),
        files=_files(instance, result, verdicts),
        data=_data(instance.unit.key, result),
        summary=_short(result.decision.reason),
    )


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a run into a folder, some of them one folder deeper."""
    for inner in {(folder / name).parent for name in files} | {folder}:
        inner.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def mlflow_key(text: str) -> str:
    """A name for a metric, parameter or tag, with what MLflow does not accept replaced.

    >>> mlflow_key("pumps.metrics:days_of_warning")
    'pumps.metrics.days_of_warning'
    """
    return re.sub(r"[^\w\-. /]", ".", text)[:250]


def finite(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """The metrics that have a value, under names that MLflow accepts."""
    return {
        mlflow_key(name): float(value) for name, value in metrics.items() if value is not None and math.isfinite(value)
    }


def _params(instance: Instance, result: TrainResult) -> dict[str, str]:
    spec = instance.spec
    params = {
        "problem": spec.problem,
        "estimator": spec.estimator,
        "baseline": spec.baseline,
        "features": spec.features,
        "seed": instance.usecase.seed,
        **window_text("train", result.train_window),
        **window_text("holdout", result.holdout_window),
        **result.params,
    }
    return {mlflow_key(name): _short(value) for name, value in params.items() if value is not None}


def window_text(name: str, window: Window) -> dict[str, str | None]:
    """Start and end of a window as `train.start`, `train.end`."""
    return {f"{name}.start": instant_text(window.start), f"{name}.end": instant_text(window.end)}


def _metrics(result: TrainResult) -> dict[str, float]:
    """`mae` of the model, `baseline.mae`, `champion.mae` ... on the same rows; counts as `rows.fit`."""
    metrics = {
        (name if judged == "model" else f"{judged}.{name}"): value
        for judged, values in result.metrics.items()
        for name, value in values.items()
    }
    metrics |= {f"rows.{name}": count for name, count in result.rows.items()}
    return finite({**metrics, "threshold": result.threshold, "seconds": result.seconds})


def _tags(instance: Instance, result: TrainResult, *, code_digest: str, code_revision: str | None) -> dict[str, str]:
    tags: dict[str, Any] = {
        "usecase": instance.usecase.name,
        "unit": instance.unit.key,
        "model": instance.model,
        "role": result.role,
        "method": result.method,
        "primary": result.primary,
        "decision": result.decision.reason,
        "result_key": result.result_key,
        "frame_digest": result.frame_digest,
        "code_digest": code_digest,
        "code_revision": code_revision,
        "assets": len(instance.unit.assets),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": json.dumps(versions("datadriver")),
        "warnings": "\n".join(result.warnings) or None,
    }
    if len(instance.unit.assets) == 1:
        tags |= {f"asset.{name}": value for name, value in instance.unit.assets[0].attributes.items()}
    ours = {mlflow_key(f"datadriver.{name}"): _short(value) for name, value in tags.items() if value is not None}
    mlflows = {
        "mlflow.source.name": "datadriver train",
        "mlflow.source.type": "PROJECT",
        "mlflow.note.content": _short("  \n".join([result.decision.reason, *result.warnings])),
    }
    if code_revision:
        mlflows["mlflow.source.git.commit"] = code_revision
    return {**ours, **mlflows}


def _data(unit: str, result: TrainResult) -> dict[str, str]:
    return {
        "name": unit[:500],
        "digest": result.frame_digest[:36],
        "source_type": "code",
        "source": json.dumps({"tags": {"datadriver.unit": unit, **window_text("train", result.train_window)}}),
        "profile": json.dumps(plain(result.rows)),
    }


def _files(instance: Instance, result: TrainResult, verdicts: Sequence[VerdictRecord]) -> dict[str, bytes]:
    named = {"unit": instance.unit.key, "assets": [asset.id for asset in instance.unit.assets], "model": instance.model}
    usecase = instance.usecase
    sections = {"spec": instance.spec, "data": usecase.data, "contract": usecase.contract}
    texts = tuple(
        (name, section.model_dump_json(by_alias=True, exclude_defaults=True)) for name, section in sections.items()
    )
    files = {
        "config.yaml": (yaml_text(named, sort_keys=False) + _sections(texts, usecase.seed)).encode(),
        "environment.json": _environment(),
        "decision.json": _json({**plain(result.decision), "metrics": result.metrics, "warnings": result.warnings}),
        **{f"plots/{name}": image for name, image in result.plots.items()},
    }
    if verdicts:
        files["verdicts.json"] = _json(list(verdicts))
    return files


@lru_cache(maxsize=256)
def _sections(texts: tuple[tuple[str, str], ...], seed: int) -> str:
    """Write sections of the configuration, given as JSON, as YAML; most assets of a fleet have the same."""
    return yaml_text({name: json.loads(text) for name, text in texts} | {"seed": seed}, sort_keys=False)


@cache
def _environment() -> bytes:
    return _json({"python": sys.version, "platform": platform.platform(), "versions": versions("datadriver")})


def yaml_text(content: Any, *, sort_keys: bool = True) -> str:
    """Plain values as YAML; by libyaml, which takes a tenth of the time, where PyYAML was built with it."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(content, Dumper=dumper, sort_keys=sort_keys, allow_unicode=True))


def _json(value: Any) -> bytes:
    return json.dumps(plain(value), indent=1, ensure_ascii=False).encode()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
