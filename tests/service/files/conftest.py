from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from tests.service.files.origin import Origin


@pytest.fixture(scope="module")
def running_origin() -> Iterator[Origin]:
    origin = Origin()
    yield origin
    origin.close()


@pytest.fixture
def origin(running_origin: Origin) -> Origin:
    """A storage host that holds nothing and has no faults."""
    running_origin.reset()
    return running_origin


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    """The process-wide in-memory store, empty."""

    def clear() -> None:
        MemoryFileSystem.store.clear()
        MemoryFileSystem.pseudo_dirs[:] = [""]

    clear()
    yield MemoryFileSystem()
    clear()


class Naps(list[float]):
    """Instead of ``time.sleep``: remembers how long it would have slept."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture(scope="session")
def pdf() -> bytes:
    """A real PDF, uncompressed."""
    from fpdf import FPDF

    document = FPDF()
    document.set_compression(False)
    document.set_font("Helvetica", size=10)
    for page in range(4):
        document.add_page()
        document.multi_cell(0, 5, f"Page {page}. " + "The impact came from the left rear. " * 120)
    return bytes(document.output())


@pytest.fixture(scope="session")
def make_docx() -> Callable[[int], bytes]:
    """Make a real DOCX with so many paragraphs."""
    import docx

    def make(paragraphs: int) -> bytes:
        document: Any = docx.Document()
        for number in range(paragraphs):
            document.add_paragraph(f"Opinion {number}: {hash((number, 'x'))}")
        stream = io.BytesIO()
        document.save(stream)
        return stream.getvalue()

    return make
