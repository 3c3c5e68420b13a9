"""The planes dock: two slices with crosshair and letters, buttons for the planes, contrast, and measuring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QHideEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QShowEvent,
    QWheelEvent,
)
from qtpy.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models import planes, presets
from voxtrace.plugin.models.panel_state import LegendRow
from voxtrace.plugin.models.planes import PlanePicture
from voxtrace.plugin.views import icons
from voxtrace.plugin.views.crosshair import CrosshairOverlay
from voxtrace.plugin.views.legend import LegendView
from voxtrace.plugin.views.theme import on_theme
from voxtrace.plugin.views.widgets import Collapsible, note, picker

_LETTER, _CROSS, _WORDS = QColor("#ffd54a"), QColor(255, 213, 74, 170), QColor("#e8ebf0")
_SHADE = QColor(0, 0, 0, 150)
_MARGIN, _NOTCH = 4, 120
_LEGEND_PX = 190  # more labels are scrolled, so that the planes stay large
_VIEWS = (
    ("Axial", "Show the axial plane in the large canvas."),
    ("Coronal", "Show the coronal plane in the large canvas."),
    ("Sagittal", "Show the sagittal plane in the large canvas."),
    ("3D", "Show the scan in 3-D in the large canvas, seen from the front at first."),
)


class PlaneCanvas(QWidget):
    """One plane at true scale: click or drag moves the crosshair, the wheel and ↑ ↓ go through its slices."""

    pointed = Signal(int, float, float)  # plane, row, column
    scrolled = Signal(int, int)  # plane, slices

    def __init__(self) -> None:
        super().__init__()
        self.picture: PlanePicture | None = None
        self._image: QImage | None = None
        self._pixels: planes.Pixels | None = None
        self._bytes = b""
        self._turned = 0
        self.setMinimumSize(120, 100)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip("Click or drag: move the crosshair.\nWheel, ↑ ↓: go through the slices of this plane.")

    def sizeHint(self) -> QSize:
        """Return a size that leaves most of a small window to napari's canvas."""
        return QSize(230, 220)

    def show_picture(self, picture: PlanePicture | None) -> None:
        """Show a plane; None clears it."""
        if picture is not None and picture.pixels is not self._pixels:
            self._pixels = picture.pixels
            height, width, _ = picture.pixels.shape
            self._bytes = np.ascontiguousarray(picture.pixels).tobytes()  # QImage does not keep them
            self._image = QImage(self._bytes, width, height, 3 * width, QImage.Format.Format_RGB888)
        self.picture = picture
        self.setAccessibleName(picture.title if picture is not None else "no plane")
        self.update()

    @property
    def area(self) -> QRectF:
        """Where the slice is drawn: as large as fits, at the scan's proportions in mm."""
        if self.picture is None:
            return QRectF()
        height, width = self.picture.size_mm
        scale = min((self.width() - 2 * _MARGIN) / width, (self.height() - 2 * _MARGIN) / height)
        size = (width * scale, height * scale)
        return QRectF((self.width() - size[0]) / 2, (self.height() - size[1]) / 2, *size)

    def place(self, at: QPointF) -> tuple[float, float]:
        """Return the row and column under a point of the widget."""
        assert self.picture is not None
        area, (rows, columns, _) = self.area, self.picture.pixels.shape
        row = (at.y() - area.top()) / area.height() * rows - 0.5
        return row, (at.x() - area.left()) / area.width() * columns - 0.5

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw slice, crosshair, letters and title."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("black"))
        if self.picture is None or self._image is None:
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(self.area, self._image)
        self._draw_cross(painter, self.picture)
        self._draw_letters(painter, self.picture)

    def _draw_cross(self, painter: QPainter, picture: PlanePicture) -> None:
        area, (rows, columns, _) = self.area, picture.pixels.shape
        x = area.left() + (picture.cross[1] + 0.5) / columns * area.width()
        y = area.top() + (picture.cross[0] + 0.5) / rows * area.height()
        painter.setPen(QPen(_CROSS, 1))
        gap = 6.0  # leaves the voxel itself free
        for start, end in (
            (QPointF(area.left(), y), QPointF(x - gap, y)),
            (QPointF(x + gap, y), QPointF(area.right(), y)),
            (QPointF(x, area.top()), QPointF(x, y - gap)),
            (QPointF(x, y + gap), QPointF(x, area.bottom())),
        ):
            painter.drawLine(start, end)

    def _draw_letters(self, painter: QPainter, picture: PlanePicture) -> None:
        font = painter.font()
        font.setBold(True)
        font.setPointSizeF(11)
        painter.setFont(font)
        inside = self.rect().adjusted(_MARGIN, 2, -_MARGIN, -2)
        centre = Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignVCenter
        sides = {
            "left": Qt.AlignmentFlag.AlignLeft | centre[1],
            "right": Qt.AlignmentFlag.AlignRight | centre[1],
            "top": Qt.AlignmentFlag.AlignTop | centre[0],
            "bottom": Qt.AlignmentFlag.AlignBottom | centre[0],
        }
        for edge, letter in picture.letters:
            self._draw_text(painter, inside, sides[edge], letter, _LETTER)
        font.setBold(False)
        font.setPointSizeF(9)
        painter.setFont(font)
        self._draw_text(
            painter, inside, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft, picture.title, _WORDS
        )

    def _draw_text(self, painter: QPainter, inside: object, where: object, text: str, colour: QColor) -> None:
        box = painter.boundingRect(inside, where, text)  # type: ignore[call-overload]
        painter.fillRect(box.adjusted(-2, 0, 2, 0), _SHADE)
        painter.setPen(colour)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Move the crosshair."""
        self._point(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Move the crosshair while the button is held."""
        self._point(event)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Go through the slices; parts of a notch, of a touch pad, add up."""
        if event is None or self.picture is None:
            return
        self._turned += event.angleDelta().y()
        notches = int(self._turned / _NOTCH)
        self._turned -= notches * _NOTCH
        if notches:
            self.scrolled.emit(self.picture.axis, -notches)
        event.accept()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Go through the slices with ↑ and ↓."""
        steps = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key())) if event is not None else None
        if steps is None or self.picture is None:
            super().keyPressEvent(event)
            return
        self.scrolled.emit(self.picture.axis, steps)

    def _point(self, event: QMouseEvent | None) -> None:
        if event is not None and self.picture is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self.pointed.emit(self.picture.axis, *self.place(event.position()))


class QtPlanesView(QWidget):
    """Setters and signals; implements the controllers' ``PlanesView``."""

    plane_asked = Signal(int)  # 0 axial, 1 coronal, 2 sagittal, 3 the 3-D view
    preset_asked = Signal(int)  # its key
    remember_asked = Signal()
    outline_asked = Signal(bool)
    visibility_changed = Signal()

    def __init__(self, *below: QWidget) -> None:
        super().__init__()
        self.canvases = (PlaneCanvas(), PlaneCanvas())
        self.views = [_view_button(name, tooltip) for name, tooltip in _VIEWS]
        self.contrast = picker("Brightness of the scan on screen, level/width, for CT in HU: number keys.")
        self.remember, self.cross = QToolButton(), QToolButton()
        self.outline, self.message, self.help = QPushButton("Outline"), note(), note()
        self._group = QButtonGroup(self)
        self._overlay: CrosshairOverlay | None = None
        self._at: tuple[float, float] | None = None
        self.legend = LegendView()
        self._legend_area = QScrollArea()
        self.labels = Collapsible(self._legend_area, resettable=False)
        self._lay_out(below)
        self._connect()

    def _lay_out(self, below: Sequence[QWidget]) -> None:
        top, second = QHBoxLayout(), QHBoxLayout()
        for index, button in enumerate(self.views):
            self._group.addButton(button, index)
            top.addWidget(button, 1)
        self.remember.setText("★")
        self.remember.setToolTip("Keep this contrast as your own preset, the last number key, for scans of this kind.")
        self.remember.setAccessibleName("Remember this contrast")
        self.help.setText(presets.HELP)
        self.cross.setCheckable(True)
        self.cross.setChecked(True)
        self.cross.setToolTip("Draw the crosshair over the large canvas.")
        self.cross.setAccessibleName("Crosshair")
        self.outline.setCheckable(True)
        self.outline.setToolTip("Draw labels as outlines, so that the scan under them can be seen.")
        self.contrast.setAccessibleName("Contrast preset")
        second.addWidget(self.contrast, 1)
        second.addWidget(self.remember)
        second.addWidget(self.cross)
        second.addWidget(self.outline)
        split = QSplitter(Qt.Orientation.Vertical)
        for canvas in self.canvases:
            split.addWidget(canvas)
        split.setChildrenCollapsible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(top)
        layout.addLayout(second)
        layout.addWidget(split, 1)
        self._legend_area.setWidget(self.legend)
        self._legend_area.setWidgetResizable(True)
        self._legend_area.setFrameShape(QFrame.Shape.NoFrame)
        self._legend_area.setSizeAdjustPolicy(QScrollArea.SizeAdjustPolicy.AdjustToContents)
        self._legend_area.setMaximumHeight(_LEGEND_PX)
        self.labels.title.setText("Labels")
        self.labels.hide()
        for widget in (self.labels, self.message, self.help, *below):
            layout.addWidget(widget)

    def _connect(self) -> None:
        self._group.idClicked.connect(self.plane_asked)
        self.contrast.activated.connect(lambda index: self.preset_asked.emit(self.contrast.itemData(index)))
        self.remember.clicked.connect(self.remember_asked)
        self.outline.toggled.connect(self.outline_asked)
        self.cross.toggled.connect(lambda: self.show_cross(self._at))
        on_theme(self, lambda colours: self.cross.setIcon(icons.target(colours.text)))

    @property
    def is_shown(self) -> bool:
        """Whether the planes can be seen once the window is: not closed, and not behind another tab."""
        return self.isVisibleTo(self.window())

    def showEvent(self, event: QShowEvent | None) -> None:
        """Tell that the planes can be seen again."""
        super().showEvent(event)
        self.visibility_changed.emit()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Tell that the planes cannot be seen any more."""
        super().hideEvent(event)
        self.visibility_changed.emit()

    def show_planes(self, pictures: Sequence[PlanePicture], plane: int, message: str) -> None:
        """Show the planes that napari's canvas does not show; ``plane`` is the one it shows, 3 for the 3-D view."""
        for index, canvas in enumerate(self.canvases):
            canvas.show_picture(pictures[index] if index < len(pictures) else None)
        self.views[plane].setChecked(True)
        self.message.setText(message)
        self.message.setVisible(bool(message))

    def cover(self, canvas: QWidget | None) -> None:
        """Draw the crosshair over this canvas."""
        self._overlay = CrosshairOverlay(canvas) if canvas is not None else None

    def show_cross(self, cross: tuple[float, float] | None) -> None:
        """Draw the crosshair on napari's canvas, pixels right and down of its middle; None for none."""
        self._at = cross
        if self._overlay is not None:
            self._overlay.show_cross(cross if self.cross.isChecked() else None)

    def show_presets(self, found: Sequence[presets.Preset], chosen: int, words: str) -> None:
        """Offer contrast presets; ``chosen`` is −1 where none is shown, and ``words`` name what is."""
        titles = [one.title for one in found]
        with QSignalBlocker(self.contrast):
            if [self.contrast.itemText(i) for i in range(self.contrast.count())] != titles:
                self.contrast.clear()
                for one in found:
                    self.contrast.addItem(one.title, one.key)
            self.contrast.setPlaceholderText(words)
            self.contrast.setCurrentIndex(chosen)
        for widget in (self.contrast, self.remember):
            widget.setEnabled(bool(found))

    def show_labels(self, rows: Sequence[LegendRow]) -> None:
        """List the labels of a label map; none hides the legend."""
        self.legend.show_rows(rows)
        self.labels.setVisible(bool(rows))
        self.labels.title.setText(f"Labels ({len(rows)})")

    def show_outline(self, outlined: bool, possible: bool) -> None:
        """Set whether labels are drawn as outlines; ``possible`` where there are labels."""
        with QSignalBlocker(self.outline):
            self.outline.setChecked(outlined)
        self.outline.setEnabled(possible)


def _view_button(name: str, tooltip: str) -> QPushButton:
    button = QPushButton(name)
    button.setCheckable(True)
    button.setToolTip(tooltip)
    button.setAccessibleName(f"{name} view")
    button.setStyleSheet("QPushButton { padding: 3px 2px; min-width: 0px; } QPushButton:checked { font-weight: bold; }")
    return button
