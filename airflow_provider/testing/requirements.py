"""What an extra of this package asks for and is not there."""

from __future__ import annotations

from importlib import metadata

from packaging.requirements import Requirement

from airflow_provider import DISTRIBUTION


def missing_requirements(extra: str) -> list[str]:
    """
    Return the distributions that an extra needs and that are not installed.

    :param extra: of this package, for example ``simulator``.
    """
    wanted = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or ()]
    return sorted(
        requirement.name
        for requirement in wanted
        if requirement.marker is not None
        and requirement.marker.evaluate({"extra": extra})
        and not _installed(requirement.name)
    )


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
