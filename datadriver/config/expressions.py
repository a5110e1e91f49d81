"""Cohort expressions such as `country == "NO" and depth_m > 1000`: a small grammar, read without eval.

An expression is Python syntax cut down to comparisons of attributes with literals, `in` and `not in`, `is None` and
`is not None`, `and`, `or`, `not` and parentheses. A missing attribute never matches a comparison: neither `==` nor
`!=`, nor `not in`.
"""

from __future__ import annotations

import ast
import itertools
import math
import operator
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from datadriver.config.fleet import AttributeValue
from datadriver.errors import ConfigError, nearest

Attributes = Mapping[str, AttributeValue]
_Read = Callable[[Attributes], Any]
_Test = Callable[[Attributes], bool]

_LONGEST = 1000
_HINTS = (
    (re.compile(r"[&|]|!(?!=)|\b(AND|OR|NOT|IN)\b"), "write `and`, `or`, `not`, `in`"),
    (re.compile(r"(?<![=!<>])=(?!=)"), "write == to compare"),
)
_OPERATORS: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.In: ("in", lambda left, right: left in right),
    ast.NotIn: ("not in", lambda left, right: left not in right),
}


@dataclass(frozen=True)
class Expression:
    """A parsed expression; equal texts are equal expressions.

    `names` are the attributes it reads; `literals` pairs each attribute with the values it is compared with.
    """

    text: str
    names: frozenset[str] = field(compare=False)
    literals: tuple[tuple[str, AttributeValue], ...] = field(compare=False)
    _test: _Test = field(compare=False, repr=False)

    def matches(self, attributes: Attributes) -> bool:
        """Tell whether an asset with these attributes belongs to the cohort.

        Raises:
            ConfigError: if text is ordered against a number, or `in` is asked of something that holds nothing.
        """
        return self._test(attributes)

    def __reduce__(self) -> tuple[Any, ...]:
        return parse, (self.text,)


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Read an expression.

    >>> parse('country in ["NO", "GB"] and depth_m > 1000').matches({"country": "NO", "depth_m": 1200})
    True

    Raises:
        ConfigError: with the place of the mistake in the text.
    """
    tree = _syntax_tree(text)
    test = _Compiler(text).test(tree)
    names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    return Expression(text, names, tuple(_literals(tree)), test)


def unknown_names(expression: Expression, known: frozenset[str] | set[str]) -> tuple[str, ...]:
    """Say which attributes of an expression no asset has, one sentence each."""
    return tuple(
        f"`{expression.text}`: no asset has an attribute {name!r}{nearest(name, known)}"
        for name in sorted(expression.names - known)
    )


def _syntax_tree(text: str) -> ast.expr:
    flat = " ".join(text.split("\n")).strip()
    if not flat:
        raise ConfigError("an expression is empty; leave it out to mean every asset")
    if len(flat) > _LONGEST:
        raise ConfigError(f"an expression of {len(flat)} characters is too long; {_LONGEST} are allowed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(flat, mode="eval").body
    except SyntaxError as error:
        place = f", character {error.offset}" if error.offset else ""
        hint = next((f"; {hint}" for sign, hint in _HINTS if sign.search(flat)), "")
        raise ConfigError(f"`{flat}`{place}: {error.msg}{hint}") from None
    except (ValueError, RecursionError, MemoryError):
        raise ConfigError(f"`{flat[:60]}`: not an expression that can be read") from None


def _literals(tree: ast.expr) -> Iterator[tuple[str, AttributeValue]]:
    """Pair attributes with the literals they are compared with, so that a check can compare their types."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        for left, right in itertools.pairwise(sides):
            for name, other in ((left, right), (right, left)):
                if isinstance(name, ast.Name):
                    items = other.elts if isinstance(other, (ast.List, ast.Tuple, ast.Set)) else [other]
                    yield from (
                        (name.id, value) for item in items if (value := getattr(item, "value", None)) is not None
                    )


class _Compiler:
    """Turns the syntax tree into closures; everything outside of the grammar is an error with its place."""

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split("\n")).strip()

    def error(self, node: ast.expr, what: str) -> ConfigError:
        place = len(self.text.encode()[: node.col_offset].decode(errors="ignore")) + 1
        return ConfigError(f"`{self.text}`, character {place}: {what}")

    def test(self, node: ast.expr) -> _Test:
        """Compile a condition."""
        match node:
            case ast.BoolOp(op=ast.And(), values=values):
                parts = [self.test(value) for value in values]
                return lambda row: all(part(row) for part in parts)
            case ast.BoolOp(values=values):
                parts = [self.test(value) for value in values]
                return lambda row: any(part(row) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.test(operand)
                return lambda row: not inner(row)
            case ast.Compare():
                return self.comparison(node)
            case ast.Name(id=name):
                return lambda row: bool(_value(row, name))
            case ast.Constant(value=bool(truth)):
                return lambda _row: truth
            case ast.Constant(value=value):
                raise self.error(node, f"{value!r} is not a condition; write an attribute before it, or use `in [...]`")
        raise self.error(node, "only comparisons of attributes with values, `in`, `and`, `or` and `not` are understood")

    def comparison(self, node: ast.Compare) -> _Test:
        """Compile `a < b <= c`; all of its parts must hold."""
        sides, tests = [node.left, *node.comparators], []
        for left, sign, right in zip(sides, node.ops, sides[1:], strict=False):
            if isinstance(sign, (ast.Is, ast.IsNot)):
                tests.append(self.is_none(left, sign, right))
            else:
                tests.append(self.compare(left, sign, right))
        if len(tests) == 1:
            return tests[0]
        return lambda row: all(test(row) for test in tests)

    def is_none(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> _Test:
        if not (isinstance(right, ast.Constant) and right.value is None):
            raise self.error(right, "`is` is understood before None only; write ==")
        read, wanted = self.value(left), isinstance(sign, ast.Is)
        return lambda row: (read(row) is None) == wanted

    def compare(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> _Test:
        """Compile one comparison; a row that lacks one of its values does not pass."""
        symbol, function = _OPERATORS[type(sign)]
        member = symbol in ("in", "not in")
        read_left, read_right = self.value(left), self.collection(right) if member else self.value(right)
        text = self.text

        def test(row: Attributes) -> bool:
            a, b = read_left(row), read_right(row)
            if a is None or b is None:
                return False
            try:
                return bool(function(a, b))
            except TypeError:
                raise ConfigError(f"`{text}`: {a!r} {symbol} {b!r} compares things of different types") from None

        return test

    def collection(self, node: ast.expr) -> _Read:
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            items = tuple(self.literal(item) for item in node.elts)
            return lambda _row: items
        return self.value(node)

    def value(self, node: ast.expr) -> _Read:
        """Compile an attribute or a literal."""
        if isinstance(node, ast.Name):
            name = node.id
            return lambda row: _value(row, name)
        constant = self.literal(node)
        return lambda _row: constant

    def literal(self, node: ast.expr) -> AttributeValue:
        """Return the text, number or truth value that a node writes out.

        Raises:
            ConfigError: it is something else.
        """
        match node:
            case ast.Constant(value=None):
                raise self.error(node, "write `is None` or `is not None` for missing attributes")
            case ast.Constant(value=str() | int() | float() as value):
                return value
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as value)):
                return -value if isinstance(sign, ast.USub) else value
            case ast.Name(id=name):
                raise self.error(node, f"write the text {name!r} in quotes")
        raise self.error(node, "expected an attribute, a number, a text in quotes, True or False")


def _value(row: Attributes, name: str) -> AttributeValue:
    value = row.get(name)
    return None if isinstance(value, float) and math.isnan(value) else value
