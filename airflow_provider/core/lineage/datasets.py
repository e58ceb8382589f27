"""Files as OpenLineage datasets: namespace and name of a path. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss"}
"""Schemes that OpenLineage spells in another way."""

_MAGIC = frozenset("*?[")

_WEB = ("http://", "https://")
"""No operator takes them, and they may be signed."""


def dataset_name(path: str) -> tuple[str, str]:
    """
    Return namespace and name of a file, after OpenLineage's naming of datasets.

    The namespace of an Azure container lacks the storage account, which only the connection knows.

    :param path: local path, or URL with or without ``conn_id@``, which is no part of the dataset.
    """
    scheme, separator, rest = path.partition("://")
    if not separator or scheme in ("file", "local"):
        local = "/" + rest.partition("/")[2] if separator else os.path.abspath(os.path.expanduser(path))
        return "file", local
    authority, _, name = rest.partition("/")
    return f"{_SCHEMES.get(scheme, scheme)}://{authority.rpartition('@')[2]}", name or "/"


def literal_paths(files: Any) -> list[str]:
    """
    Return the files that an operator's ``files`` names one by one; what globs match is known later.

    :param files: as operators take them: paths, URLs, manifests with ``path``; anything else names none, and
        neither does what a mapped task returned: to iterate over that is to ask Airflow for each item.
    """
    if not isinstance(files, list | tuple | set | frozenset):
        return []
    paths = [str(item.get("path", "")) if isinstance(item, Mapping) else str(item) for item in files]
    return [path for path in paths if path and _MAGIC.isdisjoint(path) and not path.startswith(_WEB)]
