"""What fit, eval and compare have in common: the dry run, progress, the result, and the detail of -v."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from harden import distributed
from harden.cli.screen import Screen, say, show
from harden.memory import limited
from harden.settings import Settings

if TYPE_CHECKING:
    from harden.records import CompareRecord, EvalRecord, FitRecord

Result = TypeVar("Result", bound="EvalRecord | FitRecord | CompareRecord | None")


@dataclass(frozen=True)
class Output:
    """How much is shown: the values of ``--json``, ``-v``, ``-q`` and ``--dry-run``."""

    as_json: bool
    verbose: bool
    quiet: bool
    dry_run: bool

    def work(
        self,
        settings: Settings,
        run: Callable[[Any, Screen], Result],
        tail: Callable[[], str] = lambda: "",
    ) -> Result | None:
        """Run a command, or only its dry run, and show its record.

        Args:
            settings: The command's settings.
            run: The pipeline's function.
            tail: Makes the lines below the result.

        Returns:
            The record; None after a dry run, which shows its own, and in a process that has nothing to tell.
        """
        from harden.cli.dry_run_text import dry_run_text, settings_text
        from harden.pipeline.dry_run import dry_run, resolved_settings
        from harden.report.detail import detail
        from harden.report.terminal import summary

        tells = distributed.is_leader()  # of several processes that train together, one
        with Screen(self.quiet or not tells, self.verbose) as screen, limited(settings.max_memory):
            if self.dry_run:
                plan = dry_run(settings, screen)
            else:
                if self.verbose and tells:
                    say(settings_text(resolved_settings(settings)))
                record = run(settings, screen)
        if self.dry_run:
            show(plan, self.as_json, dry_run_text(plan))
            return None
        if record is None:
            return None
        if self.verbose:
            say(detail(record))
        show(record.document, self.as_json, summary(record) + tail())
        return record
