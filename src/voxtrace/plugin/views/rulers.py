"""The dock below the canvas: film strip, lanes and place ruler under one bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from voxtrace.plugin.models.lanes import Lane
from voxtrace.plugin.models.place_cells import AreaLine, PlaceCells, PlaceChoice
from voxtrace.plugin.views.film_strip import FilmStrip
from voxtrace.plugin.views.lanes import LanesView
from voxtrace.plugin.views.node_charts import NodeChartDialog
from voxtrace.plugin.views.place_ruler import PlaceStrip
from voxtrace.plugin.views.transport import Choice, TransportBar
from voxtrace.trace import NodeChart
from voxtrace.volume import Triple

BAR_PX, EDGE_PX = 30, 4  # of the bar; of the frame around the strips
MOST_PX = 294  # of the whole dock; more rows and lanes are scrolled above the place ruler


class RulersView(QWidget):
    """Implements the views of the controllers of film, time ruler, place ruler and overlays."""

    def __init__(self) -> None:
        super().__init__()
        self.bar, self.empty = TransportBar(), QLabel()
        self.film, self.lanes, self.place = FilmStrip(), LanesView(), PlaceStrip()
        self._charts: tuple[NodeChart, ...] = ()
        self._stations, self._rows, self._shown = 0, 1, True
        self._strips, self._scroll = QWidget(), QScrollArea()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        inner = QVBoxLayout(self._strips)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(0)
        for strip in (self.film, self.lanes):
            inner.addWidget(strip)
        inner.addStretch(1)
        self._scroll.setWidget(self._strips)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.empty.setContentsMargins(8, 4, 8, 8)
        self.empty.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        self.bar.setFixedHeight(BAR_PX)
        for widget in (self.bar, self._scroll, self.place, self.empty):
            layout.addWidget(widget)

    def _connect(self) -> None:
        self.bar.rows_asked.connect(self._show_rows)
        self.bar.body_asked.connect(self._show_body)
        self.bar.chart_asked.connect(self._show_chart)

    def set_stations(self, names: Sequence[str], word: str, current: int) -> None:
        """Show a station for each name."""
        self._stations = len(names)
        self.bar.set_stations(len(names))
        self.lanes.set_count(len(names))
        self.film.set_stations(names, word, current)
        self._arrange()

    def set_rows(self, names: Sequence[str]) -> None:
        """Show a row of thumbnails for each name, the answer first."""
        self._rows = len(names)
        self.bar.set_rows(names)
        self.film.set_rows(names)
        self._arrange()

    def set_current(self, station: int, title: str, made_by: str) -> None:
        """Mark a station, and say what it is and which model made it."""
        self.film.set_current(station, f"{title}\n{made_by}".strip())
        self.bar.set_model(made_by)
        self.lanes.set_current(station)

    def set_lanes(self, shown: Sequence[Lane], choices: Sequence[Choice]) -> None:
        """Show lanes, and which could be shown."""
        self.lanes.set_lanes(shown)
        self.bar.set_lanes(choices)
        self._arrange()

    def set_references(self, names: Sequence[str], chosen: int) -> None:
        """Offer labels layers to compare with."""
        self.bar.set_references(names, chosen)

    def set_playing(self, playing: bool) -> None:
        """Set whether the ruler plays."""
        self.bar.set_playing(playing)

    def set_thumbnails(self, pictures: Mapping[tuple[int, int], Any], sentence: str) -> None:
        """Show pictures (H, W, 3) by row and station; the sentence names the plane."""
        self.film.set_thumbnails(pictures, sentence)

    def set_places(self, choices: Sequence[PlaceChoice], chosen: int) -> None:
        """Offer what can be shown along the slices."""
        self.bar.set_places([choice.title for choice in choices], chosen)

    def set_cells(self, cells: PlaceCells | None, areas: Sequence[AreaLine], depth: int) -> None:
        """Show cells and lines for ``depth`` slices, the superior one first."""
        self.place.set_cells(cells, areas, depth)
        self._arrange()

    def set_slice(self, number: int, text: str) -> None:
        """Mark a slice, counted from 0 at the superior end, and say what is known of it."""
        self.place.set_slice(number, text)

    def set_hover(self, text: str) -> None:
        """Say what is known of the slice under the mouse; "" for none."""
        self.place.set_hover(text)

    def set_overlays(self, choices: Sequence[Choice]) -> None:
        """Offer layers: key, title, whether it is shown."""
        self.bar.set_overlays(choices)

    def set_ramp(self, colours: Sequence[Triple], word: str) -> None:
        """Show the colour of each step while the map of settled voxels is shown; none hides them."""
        self.film.set_ramp(colours)

    def set_charts(self, charts: Sequence[NodeChart]) -> None:
        """Offer charts of the network."""
        self._charts = tuple(charts)
        self.bar.set_charts([chart.title for chart in charts])

    def show_empty(self, sentence: str) -> None:
        """Show that there is no result."""
        self._stations = 0
        self.empty.setText(sentence)
        self.bar.set_playing(False)
        self._arrange()

    @property
    def is_empty(self) -> bool:
        """Whether there is no result to show."""
        return self._stations == 0

    def _show_rows(self, every: bool) -> None:
        self.film.show_rows(every)
        self._arrange()

    def _show_body(self, shown: bool) -> None:
        self._shown = shown
        self._arrange()

    def _show_chart(self, index: int) -> None:
        dialog = NodeChartDialog(self._charts[index], self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.show()

    def _arrange(self) -> None:
        """Hide what is empty, and make the dock as high as what is left, up to the most."""
        several = self._stations > 1 or self._rows > 1
        self.film.setVisible(several)
        self.lanes.setVisible(self._stations > 1 and bool(self.lanes.lanes))
        self.bar.setVisible(not self.is_empty)
        self.empty.setVisible(self.is_empty)
        shown = self._shown and not self.is_empty
        time = sum(part.height() for part in (self.film, self.lanes) if not part.isHidden())
        self._scroll.setVisible(shown and time > 0)
        self.place.setVisible(shown)
        if self.is_empty:
            self.setFixedHeight(self.empty.sizeHint().height() + 4)
            return
        room = MOST_PX - BAR_PX - self.place.height()  # film and lanes are scrolled in what is left
        self._scroll.setFixedHeight(min(room, time + EDGE_PX))
        body = self.place.height() + (self._scroll.height() if time else 0)
        self.setFixedHeight(BAR_PX + (body if self._shown else 0))
