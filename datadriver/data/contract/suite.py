"""A suite file of Great Expectations, with the contract's parameters filled in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadriver.config.sections import Contract
from datadriver.data.contract import catalogue
from datadriver.data.contract.engine import quiet
from datadriver.errors import ConfigError, nearest

if TYPE_CHECKING:
    import great_expectations as gx


BY_ROW = frozenset(
    {
        "expect_column_values_to_be_between",
        "expect_column_values_to_be_in_set",
        "expect_column_values_to_be_null",
        "expect_column_values_to_not_be_in_set",
        "expect_column_values_to_not_be_null",
        "expect_column_value_lengths_to_be_between",
        "expect_column_value_lengths_to_equal",
        "expect_column_values_to_match_regex",
        "expect_column_values_to_not_match_regex",
        "expect_column_pair_values_a_to_be_greater_than_b",
        "expect_column_pair_values_to_be_equal",
        "expect_multicolumn_sum_to_equal",
    }
)
"""Expectations whose finding on a row depends on nothing but that row."""


@dataclass(frozen=True)
class Suite:
    """A suite: its file's name for messages, its own name, and its expectations as canonical JSON."""

    label: str
    name: str
    text: str

    @cached_property
    def expectations(self) -> tuple[dict[str, Any], ...]:
        """The expectations with their parameters filled in: type, kwargs, severity, meta, notes."""
        return tuple(json.loads(self.text))

    @cached_property
    def by_row(self) -> Suite:
        """The part of the suite that judges each row by itself, whatever rows are around it."""
        return Suite(self.label, self.name, json.dumps([item for item in self.expectations if item["type"] in BY_ROW]))

    @property
    def digest(self) -> str:
        """The sha256 of what the suite expects; changes with a parameter, not with layout or notes."""
        said = [[item["type"], item["kwargs"], item["severity"]] for item in self.expectations]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def gx(self, only: tuple[int, ...] | None = None) -> gx.ExpectationSuite:
        """Return the suite as Great Expectations', with positions as ids; built once per process and content.

        Args:
            only: The positions of the expectations wanted; default: all of them.

        Raises:
            ConfigError: if Great Expectations refuses an expectation; lists all of them.
        """
        return _suite(self, tuple(range(len(self.expectations))) if only is None else only)

    def build(self) -> list[Any]:
        """Return the expectations as new objects of Great Expectations, for a suite of one's own.

        Raises:
            ConfigError: if Great Expectations refuses an expectation; lists all of them.
        """
        return _build(self, range(len(self.expectations)))


def load_suite(contract: Contract, root: Path) -> Suite | None:
    """Read the contract's suite and fill in its parameters; None if the contract names no suite.

    Raises:
        ConfigError: listing every problem found: JSON syntax, unknown types, keywords, severities and parameters.
    """
    if contract.suite is None:
        return None
    content, problems = catalogue.text_of(root / contract.suite, label=contract.suite)
    if problems:
        raise ConfigError(problems)
    return _parsed(contract.suite, content, json.dumps(contract.parameters, default=str))


@lru_cache(maxsize=256)
def _parsed(label: str, content: str, parameters_text: str) -> Suite:
    document, problems = catalogue.parse(content, label=label)
    parameters = json.loads(parameters_text)
    problems = problems or catalogue.problems_of(document, parameters, label=label)
    if problems:
        raise ConfigError(problems)
    items = [_normal(item, parameters) for item in document["expectations"]]
    return Suite(label, document["name"], json.dumps(items, sort_keys=True))


def _normal(item: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": item["type"],
        "kwargs": fill(item.get("kwargs") or {}, parameters),
        "severity": item.get("severity") or "critical",
        "meta": item.get("meta") or {},
        "notes": item.get("notes"),
        "description": item.get("description"),
    }


def fill(value: Any, parameters: Mapping[str, Any]) -> Any:
    """Replace every `{"$PARAMETER": "name"}` inside of a value.

    >>> fill({"column": "t", "max_value": {"$PARAMETER": "max_temp"}}, {"max_temp": 90})
    {'column': 't', 'max_value': 90}
    """
    if isinstance(value, Mapping):
        if "$PARAMETER" in value:
            return parameters[value["$PARAMETER"]]
        return {key: fill(item, parameters) for key, item in value.items()}
    return [fill(item, parameters) for item in value] if isinstance(value, list) else value


@lru_cache(maxsize=64)
def _suite(suite: Suite, only: tuple[int, ...]) -> gx.ExpectationSuite:
    with quiet():
        import great_expectations as gx  # noqa: PLC0415 - takes seconds, and only a judged frame needs it

        made = gx.ExpectationSuite(name=suite.name, expectations=_build(suite, only))
    if len(made.expectations) != len(only):  # it leaves out what it does not know, without a word
        raise ConfigError(
            f"{suite.label}: Great Expectations took {len(made.expectations)} of {len(only)} expectations"
        )
    for position, expectation in zip(only, made.expectations, strict=True):
        expectation.id = str(position)  # only now: the constructor refuses expectations that have one
    return made


def _build(suite: Suite, positions: Iterable[int]) -> list[Any]:
    built: list[Any] = []
    problems: list[str] = []
    with quiet():
        from datadriver.data.contract import expectations as _registers_ours  # noqa: F401, PLC0415

        for position in positions:
            item = suite.expectations[position]
            try:
                built.append(_expectation(item))
            except Exception as error:  # whatever it raises, the expectation is wrong
                where = f"{suite.label}: expectations[{position}] {item['type']}"
                problems += [f"{where}: {text}" for text in _texts(item, error)]
    if problems:
        raise ConfigError(problems)
    return built


def _expectation(item: Mapping[str, Any]) -> Any:
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration  # noqa: PLC0415

    return ExpectationConfiguration(**item).to_domain_obj()


def _texts(item: Mapping[str, Any], error: Exception) -> list[str]:
    """Say what is wrong with an expectation's keywords, one sentence for each."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return [str(error)]
    return list(dict.fromkeys(_keyword_text(item, problem) for problem in errors()))


def _keyword_text(item: Mapping[str, Any], problem: Mapping[str, Any]) -> str:
    where: Sequence[Any] = problem.get("loc", ())
    keyword = str(where[0]) if where else ""
    if keyword not in item["kwargs"]:
        return str(problem["msg"]) if keyword in ("", "__root__") else f"{keyword}: {problem['msg']}"
    if problem.get("type") == "value_error.extra":
        known = catalogue.entries()[item["type"]].kwargs
        return f"unknown keyword {keyword!r}{nearest(keyword, known)}"
    return f"{keyword} is {item['kwargs'][keyword]!r}: {problem['msg']}"
