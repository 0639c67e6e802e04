"""What fit, eval and compare have in common: the dry run, progress, the result, and the detail of -v."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harden import distributed
from harden.cli.screen import Screen, say, show
from harden.memory import limited
from harden.settings import Settings


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
        run: Callable[[Any, Screen], dict[str, Any]],
        tail: Callable[[], str] = lambda: "",
    ) -> dict[str, Any]:
        """Run a command, or only its dry run, and show the document.

        Args:
            settings: The command's settings.
            run: The pipeline's function.
            tail: Makes the lines below the result.

        Returns:
            The document; empty after a dry run, which shows its own, and in a process that has nothing to tell.
        """
        from harden.cli.dry_run_text import dry_run_text, settings_text
        from harden.pipeline.dry_run import dry_run, resolved_settings
        from harden.report.detail import detail
        from harden.report.terminal import summary

        tells = distributed.is_leader()  # of several processes that train together, one
        with Screen(self.quiet or not tells, self.verbose) as screen, limited(settings.max_memory):
            if self.dry_run:
                document = dry_run(settings, screen)
            else:
                if self.verbose and tells:
                    say(settings_text(resolved_settings(settings)))
                document = run(settings, screen)
        if self.dry_run:
            show(document, self.as_json, dry_run_text(document))
            return {}
        if not document:
            return {}
        if self.verbose:
            say(detail(document))
        show(document, self.as_json, summary(document) + tail())
        return document
