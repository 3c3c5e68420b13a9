"""An HTML page as a PDF."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QMarginsF, QSizeF
from qtpy.QtGui import QPageLayout, QPageSize, QPdfWriter, QTextDocument

from voxtrace.atomic import atomic_file

_MARGIN_MM = 14.0
_DPI = 96  # what Qt takes the pixels of HTML for; pictures keep their own resolution


def write_pdf(html: str, path: Path, title: str) -> Path:
    """Write an HTML page as a PDF of A4 pages, whole or not at all, and return its path."""
    with atomic_file(path) as temporary:
        writer = QPdfWriter(str(temporary))
        writer.setTitle(title)
        writer.setCreator("VoxTrace")
        writer.setResolution(_DPI)
        margins = QMarginsF(_MARGIN_MM, _MARGIN_MM, _MARGIN_MM, _MARGIN_MM)
        writer.setPageLayout(
            QPageLayout(
                QPageSize(QPageSize.PageSizeId.A4),
                QPageLayout.Orientation.Portrait,
                margins,
                QPageLayout.Unit.Millimeter,
            )
        )
        document = QTextDocument()
        document.setDocumentMargin(0)
        document.setHtml(html)
        document.setPageSize(QSizeF(writer.width(), writer.height()))
        document.print_(writer) if hasattr(document, "print_") else document.print(writer)
        del writer  # closes the file
    return path
