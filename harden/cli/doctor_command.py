"""``harden doctor``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from harden.cli.screen import Answer, answer_options

if TYPE_CHECKING:
    from harden.pipeline.doctor import Doctor

_UNHEALTHY = 5


@click.command("doctor")
@answer_options
def command(answer: Answer) -> int:
    """Check this machine: versions, cores, GPUs, optional packages, and that noise reaches ONNX Runtime.

    \b
    harden doctor
    """
    from harden.pipeline.doctor import PURPOSES, doctor

    document = doctor()
    answer.show(document, _text(document, PURPOSES))
    return 0 if document["healthy"] else _UNHEALTHY


def _text(document: Doctor, purposes: Mapping[str, str]) -> str:
    """The document for people; ``purposes`` says what each extra is for."""
    lines = [f"{name:<12} {value}" for name, value in document["environment"].items()]
    lines.append(f"{'GPUs':<12} {', '.join(document['gpus']) or 'none'}")
    for name, there in document["extras"].items():
        state = "installed" if there else f"not installed: pip install 'harden-onnx[{name}]'"
        lines.append(f"{name:<12} {state} ({purposes[name]})")
    lines.append(f"{'canary':<12} {document['canary']['detail']}")
    lines.append("all is well" if document["healthy"] else "noise would not be seen here: do not trust an evaluation")
    return "\n".join(lines)
