"""Where pure functions run: in this process, on its threads, or on the machines of a Ray cluster.

An engine maps a function over tasks and hands the results back in the order of the tasks, so that logs and sums do not
depend on which worker was faster.
"""

from __future__ import annotations

from harden.engines.base import Engine
from harden.engines.choose import check_name, opened
from harden.engines.local import LocalEngine

__all__ = ["Engine", "LocalEngine", "check_name", "opened"]
