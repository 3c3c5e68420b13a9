"""What the panels of one viewer share: the shelf of bundles, the methods, the letters at the canvas's edges."""

from __future__ import annotations

import weakref
from typing import Any

from voxtrace.plugin.controllers.canvas import CanvasController
from voxtrace.plugin.models.bundles import Shelf
from voxtrace.plugin.models.methods import Catalogue
from voxtrace.plugin.work import jobs


class Session:
    """One for each viewer, made when something of VoxTrace first meets it."""

    def __init__(self, viewer: Any) -> None:
        self.canvas = CanvasController(viewer)
        self.choosers: list[Any] = []  # dialogs that ask which series to open
        self._shelf: Shelf | None = None
        self._catalogue: Catalogue | None = None

    @property
    def shelf(self) -> Shelf:
        """The bundles this window knows of; the shipped ones are read when they are first asked for."""
        if self._shelf is None:
            self._shelf = Shelf()
        return self._shelf

    @property
    def catalogue(self) -> Catalogue:
        """The methods; a thread fetches them, and torch with them, when they are first asked for."""
        if self._catalogue is None:
            from voxtrace.plugin.work.threads import in_background

            self._catalogue = Catalogue()
            self._bell = in_background(jobs.methods, self._catalogue.fill, self._catalogue.fail)
        return self._catalogue


_SESSIONS: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


def session_of(viewer: Any) -> Session:
    """Return the session of a viewer; it lives exactly as long as the viewer."""
    bare = getattr(viewer, "__wrapped__", viewer)  # a panel gets a proxy of the viewer the reader sees
    if bare not in _SESSIONS:
        _SESSIONS[bare] = Session(bare)
    return _SESSIONS[bare]
