"""``harden export``."""

from __future__ import annotations

from pathlib import Path

import click

from harden.cli.screen import Answer, answer_options


@click.command("export")
@click.argument("model")
@click.option("--profile", required=True, help="noise profile whose mapping and conductance range are used")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="file to write: .npz or .csv")
@click.option("--digital", multiple=True, help="glob of tensors or nodes kept off the crossbars; may be repeated")
@answer_options
def command(model: str, profile: str, out: Path, digital: tuple[str, ...], answer: Answer) -> None:
    """Write the target conductances of MODEL's weights, for programming a chip.

    \b
    harden export runs/a/model.onnx --profile pcm --out conductances.npz

    By the profile's mapping, before any noise: G+ and G- in µS for each weight of a differential pair.
    """
    from harden.noise.profile import Profile
    from harden.pipeline.conductances import write_conductances
    from harden.pipeline.models import check_digital, open_model

    opened = open_model(model)
    check_digital(opened, digital)
    done = write_conductances(opened, Profile.parse(profile), out, digital)
    low, high = done["range"]
    text = (
        f"{out}: {done['weights']:,} weights of {done['tensors']} tensors, "
        f"{low:g} to {high:g} {done['unit']}, one scale per {done['reference']}"
    )
    answer.show({**done, "path": str(out)}, text)
