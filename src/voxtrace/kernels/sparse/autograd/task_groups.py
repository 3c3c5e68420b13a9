"""Groups of tasks that share one set of sums: as many whatever the number of threads, so that sums are the same."""

from __future__ import annotations

import numpy as np

from voxtrace.kernels.sparse.active import Words

GROUPS = 16


def task_groups(tasks: int) -> Words:
    """Return the bounds of the groups: group g has the tasks bounds[g] ≤ t < bounds[g + 1].

    Examples
    --------
    >>> task_groups(3).tolist()
    [0, 1, 2, 3]
    """
    n = min(GROUPS, tasks)
    return np.arange(n + 1, dtype=np.int64) * tasks // n
