"""Every public operator and sensor of the package, found and not listed, so that a new one is tested too."""

from __future__ import annotations

import importlib
from typing import Any

from airflow_provider.get_provider_info import get_provider_info


def public_classes(*kinds: str) -> list[type[Any]]:
    """
    Return the operators or sensors that users import.

    :param kinds: ``operators``, ``sensors``.
    """
    info = get_provider_info()
    modules = [
        importlib.import_module(name)
        for kind in kinds
        for entry in info[kind]
        for name in entry["python-modules"]
    ]
    endings = ("Operator", "Sensor")
    return [
        getattr(module, name)
        for module in modules
        for name in getattr(module, "__all__", vars(module))
        if name.endswith(endings) and getattr(module, name).__module__.startswith(module.__name__)
    ]


OPERATORS = public_classes("operators")
SENSORS = public_classes("sensors")
EVERY = [*OPERATORS, *SENSORS]
