"""Globs on local disk, in which a folder that links lead to several times is searched once."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator


def local_matches(pattern: str) -> list[str]:
    """
    Return what a pattern names, sorted: ``*``, ``?``, ``[...]`` and ``**``, none of which stands for a name
    with a leading dot.

    Links to folders are followed. ``glob`` would follow one that leads back again and again: the same files
    under ever longer names, and with two such links no end.

    :param pattern: absolute.
    """
    return sorted(set(_matches(pattern)))


def _matches(pattern: str) -> Iterator[str]:
    root, recursive, rest = f"{pattern}/".partition("/**/")
    if not recursive:
        yield from glob.iglob(pattern)
        return
    rest = rest.rstrip("/") or "*"
    for start in glob.iglob(root or "/"):
        for folder in _folders(start):
            yield from _matches(os.path.join(glob.escape(folder), rest))


def _folders(start: str) -> Iterator[str]:
    seen = {os.path.realpath(start)}

    def is_new(folder: str) -> bool:
        real = os.path.realpath(folder)
        new = real not in seen
        seen.add(real)
        return new

    for folder, names, _ in os.walk(start, followlinks=True):
        yield folder
        # The folder itself before links to it, so that its files have their own names.
        names.sort(key=lambda name: (os.path.islink(os.path.join(folder, name)), name))
        names[:] = [n for n in names if not n.startswith(".") and is_new(os.path.join(folder, n))]
