"""The report as PDF and DOCX files that real readers open."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_provider.simulator.silent_witness.model import Report

CONTENT_TYPES = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


def write_document(report: Report, sections: list[dict[str, Any]], extension: str, path: Path) -> None:
    """Write one of the two files; it appears only when it is whole."""
    partial = path.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    (_write_pdf if extension == "pdf" else _write_docx)(report, sections, partial)
    os.replace(partial, path)


def _write_pdf(report: Report, sections: list[dict[str, Any]], path: Path) -> None:
    from fpdf import FPDF

    pdf = FPDF(format="letter")
    pdf.set_creation_date(_moment(report))
    pdf.set_title(_latin(f"Technical report: {report.evidence.case.name}"))
    pdf.add_page()
    for position, section in enumerate(sections):
        pdf.set_font("Helvetica", "B", 18 if position == 0 else 13)
        pdf.multi_cell(0, 9, _latin(_printable(section["title"])), new_x="LMARGIN", new_y="NEXT")
        pdf.set_font("Helvetica", size=10.5)
        for line in _lines(section):
            pdf.multi_cell(0, 5.5, _latin(line), new_x="LMARGIN", new_y="NEXT")
        pdf.ln(3)
    pdf.output(str(path))


def _write_docx(report: Report, sections: list[dict[str, Any]], path: Path) -> None:
    import docx

    document = docx.Document()
    properties = document.core_properties
    properties.title = _printable(f"Technical report: {report.evidence.case.name}")[:255]
    properties.author = "Silent Witness simulator"
    properties.created = properties.modified = _moment(report)
    for position, section in enumerate(sections):
        document.add_heading(_printable(section["title"]), level=0 if position == 0 else 1)
        for line in _lines(section):
            if line.startswith("- "):
                document.add_paragraph(line[2:], style="List Bullet")
            else:
                document.add_paragraph(line)
    document.save(str(path))


def _lines(section: dict[str, Any]) -> list[str]:
    lines = [_printable(line.strip()) for line in section["markdown"].splitlines()]
    return [line for line in lines if line and not line.startswith("# ")]


def _printable(text: str) -> str:
    # XML, and so DOCX, has no way to write most control characters.
    return "".join(character if character.isprintable() else " " for character in text)


def _moment(report: Report) -> datetime:
    return datetime.fromtimestamp(int(report.ends_at), UTC)


def _latin(text: str) -> str:
    # The fonts that every PDF reader has know no more than this.
    return text.encode("latin-1", "replace").decode("latin-1")
