"""From a path to a handler, by segments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from airflow_provider.simulator.calls import Call
from airflow_provider.simulator.replies import Reply

Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(slots=True, frozen=True)
class Route:
    """One endpoint."""

    method: str
    template: str
    handler: Handler
    #: rate-limit bucket, for the vendor that has several
    bucket: str = ""
    #: ``METHOD template``, as the ledger counts it
    label: str = ""


@dataclass(slots=True)
class _Node:
    fixed: dict[str, _Node] = field(default_factory=dict)
    wild: _Node | None = None
    rest: dict[str, Route] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)


class Router:
    """A tree of path segments; ``{x}`` matches one segment, ``{x...}`` at the end all that are left."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, method: str, template: str, handler: Handler, bucket: str = "") -> None:
        """Register an endpoint."""
        route = Route(method, template, handler, bucket, f"{method} {template}")
        node = self._root
        for segment in template.strip("/").split("/"):
            if segment.endswith("...}"):
                node.rest[method] = route
                return
            if segment.startswith("{"):
                if node.wild is None:
                    node.wild = _Node()
                node = node.wild
            else:
                node = node.fixed.setdefault(segment, _Node())
        node.routes[method] = route

    def match(self, method: str, path: str) -> tuple[Route | None, tuple[str, ...], bool]:
        """Find the endpoint.

        :return: the route, the values of its placeholders, and whether the path exists at all
            (``(None, (), True)`` is a 405).
        """
        node = self._root
        params: list[str] = []
        segments = path[1:].split("/")
        for position, segment in enumerate(segments):
            following = node.fixed.get(segment)
            if following is None:
                if node.rest:
                    return node.rest.get(method), ("/".join(segments[position:]),), True
                if node.wild is None or not segment:
                    return None, (), False
                following = node.wild
                params.append(segment)
            node = following
        return node.routes.get(method), tuple(params), bool(node.routes)
