"""What can be seen in a file: its text, or its properties."""

from __future__ import annotations

import logging
import re
import struct
import wave
from dataclasses import dataclass
from pathlib import Path

from airflow_provider.simulator.sniffing import DOCX

_MAX_TEXT = 1024 * 1024
_MAX_PAGES = 50


@dataclass(slots=True)
class Facts:
    """Everything that a rule may look at. Numbers are negative or zero where they are unknown."""

    #: ``video``, ``audio``, ``image`` or ``document``
    kind: str
    hash: int
    size: int
    text: str = ""
    unreadable: bool = False
    width: int = 0
    height: int = 0
    brightness: float = -1
    redness: float = 0
    duration: float = 0


def inspect(path: Path, content_type: str, kind: str, fingerprint: str) -> Facts:
    """Look into a file. A broken one is a fact, not an error."""
    facts = Facts(kind=kind, hash=int(fingerprint[:12], 16), size=path.stat().st_size)
    try:
        if content_type == "application/pdf":
            facts.text = _pdf_text(path)
        elif content_type == DOCX:
            facts.text = _docx_text(path)
        elif content_type == "image/svg+xml":
            facts.text = re.sub(r"<[^>]*>", " ", _plain_text(path))
        elif kind == "document":
            facts.text = _plain_text(path)
        elif kind == "image":
            _measure_image(path, facts)
        elif content_type in ("audio/wav", "audio/x-wav"):
            with wave.open(str(path)) as sound:
                facts.duration = sound.getnframes() / (sound.getframerate() or 1)
        elif content_type in ("video/mp4", "video/quicktime"):
            facts.duration = _mp4_duration(path)
    except Exception:
        # Decoders raise whatever they like at broken input.
        facts.unreadable = kind == "document"
    return facts


def _plain_text(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.read(_MAX_TEXT).decode("utf-8", "replace")


def _pdf_text(path: Path) -> str:
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    pages = pypdf.PdfReader(path).pages
    return "\n".join(page.extract_text() for page in list(pages)[:_MAX_PAGES])[:_MAX_TEXT]


def _docx_text(path: Path) -> str:
    import docx

    document = docx.Document(str(path))
    cells = (cell.text for table in document.tables for row in table.rows for cell in row.cells)
    return "\n".join([*(paragraph.text for paragraph in document.paragraphs), *cells])[:_MAX_TEXT]


def _measure_image(path: Path, facts: Facts) -> None:
    from PIL import Image

    with Image.open(path) as image:
        facts.width, facts.height = image.size
        small = image.convert("RGB").resize((16, 16))
    pixels = small.tobytes()
    red, green, blue = (sum(pixels[channel::3]) / 256 for channel in range(3))
    facts.brightness = (red + green + blue) / 3
    facts.redness = red - (green + blue) / 2


def _mp4_duration(path: Path) -> float:
    """Seconds, from the ``mvhd`` atom."""
    with path.open("rb") as stream:
        size = path.stat().st_size
        # The atom sits at one end of the file or the other.
        head = stream.read(_MAX_TEXT)
        stream.seek(max(0, size - _MAX_TEXT))
        tail = stream.read()
    for part in (head, tail):
        at = part.find(b"mvhd")
        if at >= 0:
            if part[at + 4] == 1:
                scale, length = struct.unpack(">IQ", part[at + 24 : at + 36])
            else:
                scale, length = struct.unpack(">II", part[at + 16 : at + 24])
            return float(length / scale) if scale else 0.0
    return 0.0
