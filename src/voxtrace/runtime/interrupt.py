"""A look at whether to stop, between the layers of a network.

A network's run over one batch of windows takes seconds on few cores; whoever cancels should not wait for its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

T = TypeVar("T")
LOOK_EVERY_S = 0.05
Look = Callable[[], None]  # raises an error in order to stop


class _Interrupts:
    """What each thread looks at; while one does, torch calls :meth:`_before` ahead of every module."""

    def __init__(self) -> None:
        self._lock, self._users = threading.Lock(), 0
        self._hook: RemovableHandle | None = None
        self._here = threading.local()

    @contextmanager
    def between_layers(self, look: Look) -> Iterator[None]:
        """Call ``look`` before each layer that runs in the block, in this thread alone."""
        before: Look | None = getattr(self._here, "look", None)
        self._here.look = look
        self._enter()
        try:
            yield
        finally:
            self._leave()
            self._here.look = before

    def look(self) -> None:
        """Call what the block gave, if this thread is in one."""
        look: Look | None = getattr(self._here, "look", None)
        if look is not None:
            look()

    def waiting(self, work: Callable[[], T]) -> T:
        """Return what ``work`` gives; where this thread looks, another one does it, and this one looks meanwhile.

        What cannot be stopped, e.g. compiling, then goes on in the background when this thread stops.
        """
        if getattr(self._here, "look", None) is None:
            return work()
        executor = ThreadPoolExecutor(1, thread_name_prefix="voxtrace-compile")
        future = executor.submit(work)
        executor.shutdown(wait=False)  # its thread ends with the work
        while not future.done():
            wait([future], timeout=LOOK_EVERY_S)
            self.look()
        return future.result()

    def _before(self, module: Any, inputs: Any) -> None:
        self.look()

    def _enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._hook is None:
                self._hook = register_module_forward_pre_hook(self._before)

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._hook is not None:
                self._hook.remove()
                self._hook = None


interrupts = _Interrupts()
