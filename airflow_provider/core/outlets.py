"""Outlets: asset events that carry what a task has written, so that other Dags can be scheduled on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow.sdk import Context


LONGEST_URI = 1500
"""Most characters that Airflow takes."""

_PLAIN = "/!$&'()*+,;=:@"
"""Characters that stand for themselves in the path of a URI, after RFC 3986."""


def tell_outlets(outlets: Sequence[Any], context: Context, manifests: Sequence[dict[str, Any]]) -> None:
    """
    Let the events of a task's outlets carry what it has written.

    The event of an ``Asset``, or of a reference to one, gets ``extra={"manifests": [...]}`` with all files.
    An ``AssetAlias`` gets one event per file, on an asset whose URI is where the file is.

    :param outlets: of the task.
    :param context: of the running task instance.
    :param manifests: of the files.
    """
    from airflow.sdk import Asset, AssetAlias
    from airflow.sdk.definitions.asset import AssetRef

    for outlet in outlets:
        if isinstance(outlet, Asset | AssetRef):
            context["outlet_events"][outlet].extra["manifests"] = list(manifests)
        elif isinstance(outlet, AssetAlias):
            for manifest in manifests:
                asset = Asset(asset_uri(manifest["path"]))
                context["outlet_events"][outlet].add(asset, extra={"manifests": [manifest]})


def asset_uri(path: str) -> str:
    """
    Return the URI under which Airflow knows a file: ASCII, percent-encoded, one for each file.

    ``sources.resolve_sources`` and ``tables.read_rows`` find the file by it again, unless it is too long for
    Airflow: then it ends with a digest, and the event's manifests name the file.

    :param path: of a manifest: local path, or URL whose ``conn_id@`` is no part of the asset.
    """
    scheme, separator, rest = path.partition("://")
    if separator:
        authority, slash, key = rest.partition("/")
        place = quote(authority.rpartition("@")[2], safe=_PLAIN)
        uri = f"{scheme}://{place}{slash}{quote(key, safe=_PLAIN)}"
    else:
        uri = PurePath(path).as_uri()
    if len(uri) <= LONGEST_URI:
        return uri
    digest = sha256(uri.encode()).hexdigest()
    beginning = re.sub("%.?$", "", uri[: LONGEST_URI - len(digest) - 1])
    return f"{beginning}-{digest}"
