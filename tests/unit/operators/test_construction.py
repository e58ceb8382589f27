"""What all operators and sensors promise about their arguments, checked by looking at the classes."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, XComArg

from tests.airflow.task_run import as_stored
from tests.unit.operators.every_class import EVERY, OPERATORS, SENSORS

AIRFLOWS_OWN = set(inspect.signature(BaseOperator.__init__).parameters) | {
    "mode",
    "soft_fail",
    "silent_fail",
    "never_fail",
}
by_name = pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)


def parameters(cls: type[Any]) -> dict[str, inspect.Parameter]:
    """The arguments of a class that are its own or this package's, not Airflow's."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if base.__module__.startswith("airflow_provider") and "__init__" in vars(base):
            for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items():
                if parameter.kind is parameter.KEYWORD_ONLY:
                    found.setdefault(name, parameter)
    return found


def test_all_of_them_are_found() -> None:
    assert {cls.__name__ for cls in OPERATORS} >= {
        "MediaMagicCreateSubmissionOperator",
        "MediaMagicGetAssetResultOperator",
        "MediaMagicGetIssuesOperator",
        "MediaMagicGetTopicsOperator",
        "MediaMagicRetryAssetOperator",
        "MediaMagicUploadFilesOperator",
        "SilentWitnessCancelReportOperator",
        "SilentWitnessCreateCaseOperator",
        "SilentWitnessCreateReportOperator",
        "SilentWitnessDownloadReportOperator",
        "SilentWitnessUploadEvidenceOperator",
    }
    assert {cls.__name__ for cls in SENSORS} == {"MediaMagicSubmissionSensor", "SilentWitnessReportSensor"}


@by_name
def test_every_argument_has_a_param_line(cls: type[Any]) -> None:
    documented = set(re.findall(r":param (\w+):", cls.__doc__ or ""))
    own = {name for name in parameters(cls) if name not in AIRFLOWS_OWN or name == "timeout"}
    assert own - documented == set()


@by_name
def test_no_param_line_is_about_an_argument_that_does_not_exist(cls: type[Any]) -> None:
    documented = set(re.findall(r":param (\w+):", cls.__doc__ or ""))
    assert documented - set(parameters(cls)) == set()


@by_name
def test_its_docstring_names_the_vendors_page(cls: type[Any]) -> None:
    assert re.search(r"See https://\S+", cls.__doc__ or "")


@by_name
def test_every_template_field_is_an_argument(cls: type[Any]) -> None:
    assert set(cls.template_fields) - set(parameters(cls)) == set()


@by_name
def test_the_connection_can_be_templated(cls: type[Any]) -> None:
    assert cls.hook_class.conn_name_attr in cls.template_fields


@by_name
@pytest.mark.parametrize("given", [None, "theirs"], ids=["default", "named"])
def test_a_connection_for_other_operators_does_not_reach_it(cls: type[Any], given: str | None) -> None:
    """``conn_id`` is what SQL operators take, and many Dags name one for all of them."""
    own = {} if given is None else {cls.hook_class.conn_name_attr: given}
    with DAG("mixed", schedule=None, default_args={"conn_id": "warehouse_postgres"}):
        operator = cls(task_id="job", **_required(cls), **own)
    assert operator.conn_id == (given or cls.hook_class.default_conn_name)


@by_name
def test_its_old_argument_is_refused(cls: type[Any]) -> None:
    with pytest.raises(TypeError, match="conn_id"):
        cls(task_id="job", conn_id="old", **_required(cls))


@by_name
def test_every_user_given_text_can_be_templated(cls: type[Any]) -> None:
    texts = {
        name
        for name, parameter in parameters(cls).items()
        if ("str" in str(parameter.annotation) or "Mapping" in str(parameter.annotation))
        and name not in AIRFLOWS_OWN
    }
    choices = {"on_lost_submission", "on_clear", "if_no_files"}
    assert texts - set(cls.template_fields) - choices == set()


@by_name
def test_the_json_renderer_is_for_template_fields_only(cls: type[Any]) -> None:
    assert set(getattr(cls, "template_fields_renderers", {})) - set(cls.template_fields) == set()


@by_name
def test_construction_only_assigns(cls: type[Any]) -> None:
    """Neither a value, nor a connection, nor a file is looked at: a Dag is parsed far from all three."""
    given = {name: object() for name in parameters(cls) if name not in _NUMBERS | {"deferrable"}}
    operator = cls(task_id="job", **given)
    assert {name: getattr(operator, name) for name in given} == given


_NUMBERS = {"poke_interval", "max_wait", "timeout", "exponential_backoff"}
"""Airflow's own sensor base converts these when it is constructed."""


@by_name
def test_construction_takes_the_result_of_an_upstream_task(cls: type[Any]) -> None:
    with DAG("parsed", schedule=None):
        upstream = BaseOperator(task_id="upstream")
        given = {name: XComArg(upstream) for name in cls.template_fields if name not in _NUMBERS}
        operator = cls(task_id="job", **{**_required(cls), **given})
    assert operator.upstream_task_ids == {"upstream"}


@by_name
def test_it_can_be_mapped_over_each_template_field(cls: type[Any]) -> None:
    for field in cls.template_fields:
        if field in _NUMBERS:
            continue
        with DAG("mapped", schedule=None):
            others = {name: value for name, value in _required(cls).items() if name != field}
            mapped = cls.partial(task_id="job", **others).expand(**{field: ["one", "two"]})
        assert mapped.task_id == "job"


@by_name
def test_it_can_be_mapped_over_dictionaries(cls: type[Any]) -> None:
    with DAG("mapped", schedule=None):
        upstream = BaseOperator(task_id="upstream")
        mapped = cls.partial(task_id="job").expand_kwargs(XComArg(upstream))
    assert mapped.upstream_task_ids == {"upstream"}


WAITING = [cls for cls in EVERY if "deferrable" in parameters(cls)]


def test_the_default_way_to_wait_is_airflows_setting() -> None:
    """The setting is read when a class is made, so it takes a process of its own."""
    script = (
        "from tests.unit.operators.test_construction import WAITING, _required\n"
        "print(sorted({str(cls(task_id='job', **_required(cls)).deferrable) for cls in WAITING}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().splitlines()[-1] == "['True']"
    assert {cls(task_id="job", **_required(cls)).deferrable for cls in WAITING} == {False}


@pytest.mark.parametrize("cls", SENSORS, ids=lambda cls: cls.__name__)
def test_a_sensor_takes_its_times_as_timedeltas_too(cls: type[Any]) -> None:
    sensor = cls(
        task_id="job",
        poke_interval=timedelta(seconds=4),
        max_wait=timedelta(seconds=9),
        timeout=timedelta(minutes=2),
        **_required(cls),
    )
    assert (sensor.poke_interval, sensor.timeout) == (4.0, 120.0)


@pytest.mark.parametrize("cls", OPERATORS, ids=lambda cls: cls.__name__)
def test_an_operator_survives_serialization(cls: type[Any]) -> None:
    with DAG("serialized", schedule=None) as dag:
        cls(task_id="job", **_required(cls))
    assert list(as_stored(dag).task_dict["job"].template_fields) == list(cls.template_fields)


def _required(cls: type[Any]) -> dict[str, Any]:
    return {
        name: "given"
        for name, parameter in parameters(cls).items()
        if parameter.default is parameter.empty and name in inspect.signature(cls.__init__).parameters
    } | {
        name: "given"
        for base in cls.__mro__
        if base.__module__.startswith("airflow_provider.operators.mediamagic.results")
        for name in ("submission_id", "asset_id")
    }
