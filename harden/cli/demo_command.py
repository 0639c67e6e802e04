"""``harden demo``."""

from __future__ import annotations

from pathlib import Path

import click

from harden.cli.screen import Answer, Screen, answer_options


@click.command("demo")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("harden-demo"), help="folder  [default: harden-demo]"
)
@answer_options
def command(out: Path, answer: Answer) -> None:
    """Harden a small example network on embedded data, and show what it gained.

    \b
    harden demo
    """
    from harden.pipeline.demo import demo
    from harden.report.terminal import summary

    with Screen(answer.quiet, answer.verbose) as screen:
        record = demo(out, screen)
    if record is not None:
        answer.show(record.document, f"{summary(record)}\nreport: {out / 'run' / 'report.html'}")
