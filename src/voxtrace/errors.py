"""Errors that VoxTrace raises on purpose.

::

    VoxTraceError
    ├── UsageError            the request itself makes no sense (exit code 2)
    │   ├── MethodError       unknown method, or an option it does not have
    │   └── PlanError         a plan that cannot be met
    ├── InputError            something given cannot be used (exit code 3)
    │   ├── ReadError         a file that is not a volume, is damaged, or has the wrong dimensions
    │   ├── GeometryError     grids that do not fit each other
    │   ├── DatasetError      a dataset folder that is not in the expected layout
    │   └── BundleError       a bundle that is incomplete, altered or does not fit
    ├── OutputError           nothing could be written where it was asked for
    │   └── ReadBackError     what was written reads back as something else, or not at all
    ├── EngineError           the network itself failed: out of memory, a missing device
    └── Cancelled             the user asked to stop; not a failure

Every message is one sentence or two: which value, what was expected, what to do.
"""

from __future__ import annotations


class VoxTraceError(Exception):
    """The root of all errors that VoxTrace raises on purpose."""


class UsageError(VoxTraceError):
    """The request itself makes no sense."""


class MethodError(UsageError):
    """An unknown method, or an option that the method does not have."""


class PlanError(UsageError):
    """A plan that cannot be met."""


class InputError(VoxTraceError):
    """Something that was given cannot be used."""


class ReadError(InputError):
    """A file that is not a volume, is damaged, or has the wrong dimensions."""


class GeometryError(InputError):
    """Grids that do not fit each other."""


class DatasetError(InputError):
    """A dataset folder that is not in the expected layout."""


class BundleError(InputError):
    """A bundle that is incomplete, altered or does not fit."""


class OutputError(VoxTraceError):
    """Nothing could be written where it was asked for."""


class ReadBackError(OutputError):
    """What was written reads back as something else, or not at all; it was not kept."""


class EngineError(VoxTraceError):
    """The network itself failed: out of memory, a missing device, a broken kernel."""


class Cancelled(VoxTraceError):
    """The user asked to stop; what was finished before is kept."""
