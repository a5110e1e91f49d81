"""`datadriver-model`: the command line inside of an image of models."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from datadriver import __version__
from datadriver.cli import options
from datadriver.cli.output import Output
from datadriver.errors import ConfigError, DatadriverError, DataError
from datadriver.serving.options import server

if TYPE_CHECKING:
    from datadriver.config.fleet import Asset
    from datadriver.data.window import Window
    from datadriver.fleet.outcomes import Miss
    from datadriver.serving.answering import Answering
    from datadriver.serving.mounted import Mounted
    from datadriver.serving.packaged import Loaded, Package
    from datadriver.serving.rows import Scored
    from datadriver.serving.settings import Limits, Settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    _pin()
    from datadriver.cli.boundary import run

    raise SystemExit(run(sys.argv[1:] if arguments is None else list(arguments), app))


def _pin() -> None:
    """Start this process again where floating point is not pinned: that must be done before numpy is imported."""
    from datadriver.training.pinning import PINNED, missing

    if missing():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **PINNED})  # noqa: S606


@click.group("datadriver-model", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="datadriver %(version)s")
def app() -> None:
    """Score with the models of this image: raw sensor rows in, scores out.

    Exit codes: 0 done; 1 a bug in datadriver; 2 usage or configuration; 3 data, or a model, refused; 4 the use case's
    own code raised; 5 something outside is unavailable, a retry may help; 6 some failed, the rest are done.
    """


_assets = click.option(
    "--assets",
    multiple=True,
    metavar="A,B",
    help="Assets by id, separated by commas; may be repeated. Default: all of the image.",
)
_models = click.option("--models", metavar="A,B", help="Models by name, separated by commas. Default: all.")
_asset = click.option("--asset", metavar="ID", help="Whose rows; the only asset of the image goes without saying.")


# What it holds --------------------------------------------------------------------------------------------------------


@app.command("info")
@click.option("--example", is_flag=True, help="Only an example of what `predict` reads, to be piped into it.")
@_asset
@options.speaks
def info(output: Output, *, example: bool, asset: str | None) -> None:
    """Say which models the image holds, of what they were made, and what they want to be asked."""
    import json

    from datadriver.serving.example import example as example_of
    from datadriver.serving.packaged import open_package

    package = open_package()
    chosen = package.asset(asset) if asset is not None else package.manifest.assets[0]
    document = example_of(package, chosen)
    if example:
        print(json.dumps(document, ensure_ascii=False), file=output.stdout)
        return
    manifest = package.manifest
    output.document(
        {
            "usecase": manifest.usecase,
            "env": manifest.env,
            "datadriver": __version__,
            "code_digest": manifest.code_digest,
            "contract_digest": manifest.contract_digest,
            "assets": [{"id": one.id, "attributes": one.attributes} for one in manifest.assets],
            "models": [_about(one) for one in package.models],
            "example": document,
        }
    )
    output.line(
        f"{manifest.usecase}: {_plural(len(package.models), 'model')} of {_plural(len(manifest.assets), 'asset')}"
    )
    head = ["unit", "model", "version", "role", "history", "features", "sha256"]
    output.table(head, ([_about(one)[name] for name in head[:-2]] + _few(one) for one in package.models))
    for one in package.models:
        if one.packaged.code_digest not in {None, manifest.code_digest}:
            output.line(f"{one.packaged.name} was trained with other code than the image has")
    output.line("ask it:  docker run IMAGE info --example | docker run -i IMAGE predict")


def _about(one: Loaded) -> dict[str, Any]:
    from datadriver.config.values import format_amount
    from datadriver.serving.rows import history_of

    packaged = one.packaged
    known = {name: value for name, value in asdict(packaged).items() if name not in {"tags", "mixed", "path"}}
    history = history_of(one.instance)
    return {**known, "problem": one.instance.spec.problem, "history": format_amount(history) if history else None}


def _few(one: Loaded) -> list[str]:
    return [str(len(one.packaged.features)), f"{one.packaged.sha256[:12]}…"]


@app.command("check")
@options.speaks
def check(output: Output) -> None:
    """Verify the image: digests, types, code and contract; load every model and score an example with it."""
    from datadriver.serving.packaged import open_package

    package = open_package().load_all()
    notes = {asset.id: note for asset in package.manifest.assets[:1] if (note := _example_note(package, asset))}
    output.document({"models": [one.packaged.name for one in package.models], "notes": notes})
    for one in package.models:
        output.line(f"ok  {one.packaged.name}: digest, types, code and contract are those that were packaged")
    for asset, note in notes.items():
        output.line(f"the example for {asset} has no score, which need not be a fault: {note}")


def _example_note(package: Package, asset: Asset) -> str | None:
    """Score an example; say why that could not be done where made-up rows may be the reason."""
    import pandas as pd

    from datadriver.serving.example import example
    from datadriver.serving.predict import predict

    document = example(package, asset, end=pd.Timestamp.now("UTC"))
    noted = all(one.packaged.tags for one in package.models_of(asset))
    try:
        predict(package, {**document, "params": {**document.get("params", {}), "asset": asset.id}})
    except DataError as error:
        return error.message
    except DatadriverError as error:
        if noted:
            raise
        return error.message
    return None


# Rows in, scores out --------------------------------------------------------------------------------------------------


@app.command("predict")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--csv", "is_csv", is_flag=True, help="The rows of the main source as CSV, with a line of names first.")
@_asset
@_models
@options.window
@options.speaks
def predict_command(  # noqa: PLR0917 - click's
    output: Output,
    file: Any,
    is_csv: bool,
    asset: str | None,
    models: str | None,
    start: str | None,
    end: str | None,
) -> None:
    """Score the rows of a JSON document, from stdin or FILE; the answer is JSON on stdout.

    It is the document of `/invocations`: MLflow's forms with raw rows of the main source in them, or `{"sources":
    {NAME: {"columns": [...], "data": [[...], ...]}}, "params": {...}}` with rows by source; see `info --example`.
    """
    gc.disable()  # one answer, and the process ends: looking for garbage among what is imported takes 0.2 s of 1.5 s
    from datadriver.serving.packaged import open_package
    from datadriver.serving.predict import predict_bytes

    given = {"asset": asset, "models": models, "start": start, "end": end}
    known = {name: value for name, value in given.items() if value is not None}
    answer = predict_bytes(open_package(), file.read(), is_csv=is_csv, params=known)
    print(answer, file=output.stdout, flush=True)
    gc.freeze()  # nor is there anything to look for at the end, which would take 0.3 s


@app.command("score")
@click.option(
    "--rows",
    "files",
    multiple=True,
    metavar="[SOURCE=]FILE",
    help="Read a source from a file instead: CSV, Parquet or JSON lines (.jsonl); may be repeated.",
)
@click.option(
    "--out", metavar="DIR", help="Write them as a Parquet dataset there; `datadriver publish DIR` takes it over."
)
@click.option("--publish", is_flag=True, help="Into the scores table and the ledger of the use case.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", help="Of what goes to stdout.")
@_assets
@_models
@options.window
@options.speaks
def score(  # noqa: PLR0917 - click's
    output: Output,
    files: tuple[str, ...],
    out: str | None,
    publish: bool,
    form: str,
    assets: tuple[str, ...],
    models: str | None,
    start: str | None,
    end: str | None,
) -> int:
    """Score a window, as `datadriver score` does: from the use case's sources, or from files in their place.

    Scores go to stdout. Without --start, the window is as long as that of a first score (`scores.window`); with
    --publish it starts where the last score is.
    """
    from datadriver.fleet.outcomes import failure
    from datadriver.serving.mounted import mount
    from datadriver.serving.packaged import open_package

    if publish and (out or files):
        raise ConfigError("--publish scores what the sources of the use case have: leave out --out and --rows")
    mounted = mount(open_package(), files)
    chosen = _chosen(mounted.package, assets)
    window = _window(mounted.package, (start, end))
    if publish:
        return _publish(output, mounted.package, chosen, _names(models), window)
    scored, misses, total = _score_all(mounted, chosen, _names(models), window)
    lost = failure(misses, of=total, what="scorings")
    if not any(one.stretches for one in scored) and lost is not None:
        raise lost
    _deliver(output, mounted.package, scored, misses, out, form)
    for miss in misses:
        output.note(f"not scored: {miss}")
    if lost is not None and not output.json:
        output.note(f"error: {lost.message}")
    return lost.exit_code if lost else 0


def _chosen(package: Package, names: tuple[str, ...]) -> tuple[Asset, ...]:
    """Return the assets that are named; a name that has a comma itself is one name."""
    known = {asset.id for asset in package.manifest.assets}
    parts = [part for name in names for part in ([name] if name in known else _names(name))]
    return tuple(package.asset(name) for name in parts) or package.manifest.assets


def _publish(output: Output, package: Package, assets: tuple[Asset, ...], models: list[str], window: Window) -> int:
    from datadriver.cli.score import say_scoring, score_document
    from datadriver.fleet.score_packaged import score_packaged

    report = score_packaged(package, assets, models, window)
    output.document(score_document(report))
    say_scoring(output, report)
    return report.failure.exit_code if report.failure else 0


def _score_all(
    mounted: Mounted, assets: tuple[Asset, ...], models: list[str], window: Window
) -> tuple[list[Scored], list[Miss], int]:
    from datadriver.fleet.outcomes import Miss
    from datadriver.serving.rows import score_asset

    package = mounted.package
    scored: list[Scored] = []
    misses: list[Miss] = []
    total = 0
    for asset in assets:
        wanted = package.models_of(asset, models)
        total += len(wanted)
        try:
            one = score_asset(package, asset, wanted, window, mounted.given)
        except DatadriverError as error:
            misses += [Miss(_name(model, asset), error.message, error.exit_code) for model in wanted]
            continue
        scored.append(one)
        misses += [Miss(_name(model, asset), error.message, error.exit_code) for model, error in one.lost]
    return scored, misses, total


def _name(one: Loaded, asset: Asset) -> str:
    unit, model = one.packaged.unit, one.packaged.model
    return f"{unit}/{model}" + ("" if unit == asset.id else f" on {asset.id}")


def _window(package: Package, ends: tuple[str | None, str | None]) -> Window:
    from datadriver.data.window import Window, parse_instant

    return Window(*(None if end is None else parse_instant(end, package.usecase) for end in ends))


def _deliver(  # noqa: PLR0917 - what, and where to
    output: Output, package: Package, scored: list[Scored], misses: list[Miss], out: str | None, form: str
) -> None:
    from datadriver.serving.documents import records
    from datadriver.serving.rows import table

    stretches = [stretch for one in scored for stretch in one.stretches]
    rows, alarms = sum(len(one.frame) for one in stretches), sum(int(one.frame["alarm"].sum()) for one in stretches)
    document: dict[str, Any] = {"rows": rows, "alarms": alarms, "failed": [asdict(miss) for miss in misses]}
    if out is not None:
        document |= {"path": out, "file": _stage(package, scored, out)}
        output.line(f"{_plural(rows, 'score')}, {_plural(alarms, 'alarm')}: {out}")
    elif output.json:
        document["predictions"] = list(records(table(stretches)))
    elif form == "jsonl":
        import json

        for record in records(table(stretches)):
            print(json.dumps(record, ensure_ascii=False, allow_nan=False), file=output.stdout)
    else:
        table(stretches).to_csv(output.stdout, index=False, lineterminator="\n")
    output.document(document)


def _stage(package: Package, scored: list[Scored], out: str) -> str:
    """Write scores for `datadriver publish`, and return the name of their files."""
    from datadriver.fleet.staged import Staged
    from datadriver.fleet.verdicts import verdict_record

    verdicts = [verdict_record(one.verdict, "") for one in scored if one.verdict is not None]
    stretches = [stretch for one in scored for stretch in one.stretches]
    return Staged(out, package.manifest.usecase).put(stretches, verdicts)[0].path


@dataclass(frozen=True)
class _Opened:
    """What each process of a server opens for itself."""

    limits: Limits

    def __call__(self) -> Answering:
        from datadriver.serving.answering import Answering
        from datadriver.serving.packaged import open_package

        return Answering(open_package().load_all(), self.limits)


@app.command("serve", context_settings={"default_map": {"host": "0.0.0.0"}})  # noqa: S104 - a container's own
@server
@options.speaks
def serve_command(output: Output, *, settings: Settings) -> None:
    """Score over HTTP: MLflow's /invocations with raw sensor rows, /ping, /version, /metrics, /openapi.json."""
    from datadriver.serving.server import serve

    def ready(url: str) -> None:
        output.document({"url": url})
        output.line(f"serving {url}")
        output.stdout.flush()

    serve(_Opened(settings.limits), settings, ready=ready)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
