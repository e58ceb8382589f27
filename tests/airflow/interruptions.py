"""Workers that die at a chosen point, and results that are not taken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.airflow.task_run import WorkerDied


def die_once(patch: pytest.MonkeyPatch, owner: type[Any], method: str, *, after: bool = False) -> None:
    """
    Let the worker die once when it calls a method.

    :param owner: the class that has the method.
    :param after: once the method has done its work, and nobody has learnt of it.
    """
    original = getattr(owner, method)
    left = [1]

    def doomed(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not left:
            return original(self, *args, **kwargs)
        left.pop()
        if after:
            original(self, *args, **kwargs)
        raise WorkerDied(f"at {owner.__name__}.{method}")

    patch.setattr(owner, method, doomed)


def refuse_results(patch: pytest.MonkeyPatch) -> None:
    """Let the XCom backend refuse what tasks return."""
    from airflow.sdk.bases.xcom import BaseXCom

    # Airflow 3.4, and the versions before it.
    stores = "store_value" if hasattr(BaseXCom, "store_value") else "serialize_value"
    original = getattr(BaseXCom, stores)

    def refusing(*args: Any, **about: Any) -> Any:
        if "return_value" in (*args, about.get("key")):
            raise OSError("the bucket is read-only")
        return original(*args, **about)

    patch.setattr(BaseXCom, stores, staticmethod(refusing))
