"""``harden doctor``."""

from __future__ import annotations

import click

from harden.cli.screen import show

_UNHEALTHY = 5


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
def command(as_json: bool) -> int:
    """Check this machine: versions, cores, GPUs, optional packages, and that noise reaches ONNX Runtime.

    \b
    harden doctor
    """
    from harden.pipeline.doctor import doctor, doctor_text

    document = doctor()
    show(document, as_json, doctor_text(document))
    return 0 if document["healthy"] else _UNHEALTHY
