"""What our expectations share: the view of the whole frame, their keywords, their line in Data Docs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.suite_parameters import SuiteParameterDict
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation, render_suite_parameter_string
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.expectations.row_conditions import RowConditionType
from great_expectations.render.components import LegacyRendererType, RenderedStringTemplateContent
from great_expectations.render.renderer.renderer import renderer
from great_expectations.render.renderer_configuration import RendererConfiguration

from datadriver.config.values import parse_duration
from datadriver.data.contract.engine import Outcome
from datadriver.data.contract.view import View

# What a suite gives. A `{"$PARAMETER": ...}` is accepted, and has been filled in before anything is measured.
if TYPE_CHECKING:
    Span = str | int
    Count = int
    Amount = float
    Numbers = tuple[float, ...]
else:
    Span = str | int | SuiteParameterDict
    Count = int | SuiteParameterDict
    Amount = float | SuiteParameterDict
    Numbers = tuple[float, ...] | SuiteParameterDict


Measure = Callable[..., Outcome]


class SensorFrameMetric(TableMetricProvider):
    """The batch itself, with the means to measure it."""

    metric_name = "datadriver.view"

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(cls, execution_engine: PandasExecutionEngine, metric_domain_kwargs: dict[str, Any], **_: Any) -> View:  # noqa: N805 - the decorator makes it a class method
        frame, _compute, _accessor = execution_engine.get_compute_domain(
            domain_kwargs=metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
        )
        return View.of(frame)


class SensorExpectation(BatchExpectation, ABC):
    """Base of our expectations: measures the whole frame, and describes itself in Data Docs."""

    row_condition: RowConditionType = None
    condition_parser: str | None = None

    measure: ClassVar[Measure]
    """Measures a view, given the keywords of `success_keys`."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("datadriver.view",)
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id", "row_condition", "condition_parser")

    @classmethod
    @abstractmethod
    def sentence(cls, given: dict[str, Any]) -> str:
        """Say what is expected, with these keywords."""

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002 - the signature is Great Expectations'
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        given = {key: getattr(self, key) for key in self.success_keys}
        outcome = type(self).measure(metrics["datadriver.view"], **given)
        return {"success": outcome.success, "result": dict(outcome.result)}

    @classmethod
    def _prescriptive_template(cls, renderer_configuration: RendererConfiguration[Any]) -> RendererConfiguration[Any]:
        renderer_configuration.template_str = cls._text(renderer_configuration.kwargs)
        return renderer_configuration

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    @render_suite_parameter_string
    def _prescriptive_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: Any = None,
        runtime_configuration: dict[str, Any] | None = None,
        **_: Any,
    ) -> list[RenderedStringTemplateContent]:
        configuration = configuration or result.expectation_config
        assert configuration is not None  # noqa: S101 - one of the two is given
        styling = (runtime_configuration or {}).get("styling")
        template: dict[str, Any] = {"template": cls._text(configuration.kwargs), "params": {}, "styling": styling}
        return [RenderedStringTemplateContent(content_block_type="string_template", string_template=template)]

    @classmethod
    def _text(cls, kwargs: dict[str, Any]) -> str:
        given = {**{name: cls.__fields__[name].default for name in cls.success_keys}, **kwargs}
        return cls.sentence(given).replace("$", "$$")


def check_span(value: Any) -> Any:
    """Refuse what is neither a duration nor a number of steps; a validator of pydantic."""
    if isinstance(value, str):
        if parse_duration(value).total_seconds() <= 0:
            raise ValueError(f"{value!r} is not longer than zero")
    elif isinstance(value, (int, float)) and (isinstance(value, (bool, float)) or value <= 0):
        raise ValueError(f"{value!r} is neither a duration such as 1h nor a positive whole number of steps")
    return value
