"""``harden doctor``."""

from __future__ import annotations

import click

from harden.cli.screen import Answer, answer_options

_UNHEALTHY = 5


@click.command("doctor")
@answer_options
def command(answer: Answer) -> int:
    """Check this machine: versions, cores, GPUs, optional packages, and that noise reaches ONNX Runtime.

    \b
    harden doctor
    """
    from harden.pipeline.doctor import doctor, doctor_text

    document = doctor()
    answer.show(document, doctor_text(document))
    return 0 if document["healthy"] else _UNHEALTHY
