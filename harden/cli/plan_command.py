"""``harden plan``."""

from __future__ import annotations

from typing import Any

import click

from harden.cli.screen import Answer, answer_options


class Rate(click.ParamType):
    """A rate from 0 to 1, or with a % behind it from 0 to 100."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a flag's text."""
        from harden.values import rate

        try:
            return float(rate(value))  # pyright: ignore[reportArgumentType]
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


@click.command("plan")
@click.option("--margin", type=Rate(), required=True, help="half the width of the interval, such as 0.01 or 1%")
@click.option("--confidence", type=Rate(), default=0.95, show_default=True, help="of the interval, in (0, 1)")
@click.option("--std", type=Rate(), help="standard deviation of accuracy over chips, from earlier chips")
@click.option("--yield", "yield_at_least", type=Rate(), help="the yield to show, such as 0.99")
@click.option("--chips", type=int, help="how many chips there will be  [default: as many as are needed]")
@click.option("--examples", type=int, help="images per chip, to estimate the minutes")
@click.option("--images-per-second", type=float, help="speed, to estimate the minutes; harden eval prints it")
@answer_options
def command(answer: Answer, **sizes: Any) -> None:
    """Say how many chips a desired certainty needs, how long they take, and what cannot be claimed with them.

    \b
    harden plan --margin 0.01 --std 0.04 --yield 0.99 --examples 10000 --images-per-second 2500
    """
    from harden.statistics.sample_size import required_chips

    document = required_chips(**sizes)
    within = f"to within ±{100 * sizes['margin']:g}%"
    purposes = {
        "mean": f"the mean accuracy {within}",
        "yield": f"any yield {within} (a yield of 50% needs the most)",
        "yield_bound": f"a yield of at least {100 * (sizes['yield_at_least'] or 0):g}%, if all of them pass",
    }
    lines = [f"{purposes[purpose]}: {count} chips" for purpose, count in document["chips"].items()]
    minutes = document["minutes"]
    lines.append(f"planned: {document['planned']} chips" + ("" if minutes is None else f", {minutes:.1f} minutes"))
    lines += [f"can:    {text}" for text in document["can"]] + [f"cannot: {text}" for text in document["cannot"]]
    answer.show(document, "\n".join(lines))
