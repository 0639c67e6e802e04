"""The flags of ``--help`` under headings, the ones that everybody needs first."""

from __future__ import annotations

import click

LEVERS = "*"  # where the options of the levers with this heading stand
HEADINGS: dict[str, tuple[str, ...]] = {
    "Essentials": ("profile", "at", "method", "options", "budget", "epochs", LEVERS, "out"),
    "Model": ("weights", "pretrained", "new_head", "fold_bn", "digital", "crossbars", LEVERS),
    "Data": ("data", "test", "val", "task", "objective", "mean", "std", "input_size", "limit", "augment", "select"),
    "Chips and requirements": (
        *(
            "chips",
            "threshold",
            "require",
            "metric",
            "headline",
            "until",
            "sweep",
            "copies",
            "column_baseline",
            "also",
            "replay",
        ),
        *("keep_worst", "worst_onnx", "draw"),
    ),
    "Evidence and tracking": ("controls", "ablation", "seeds", "quick_report", "track"),
    "Levers": (LEVERS, "allow_new_nodes", "train_profile"),
    "Optimizer": ("batch_size", "optimizer", "lr", "weight_decay", "warmup", "gradient_clip"),
    "Reproducibility": ("seed",),
    "Machine": ("threads", "device", "engine", "workers", "max_memory", "amp", "channels_last"),
}
OUTPUT = "Output"


def headings() -> dict[str, tuple[str, ...]]:
    """The flags' fields by heading, those of the levers among them; a heading that only a lever has comes last."""
    from harden.levers import levers  # not for the help that lists commands

    options: dict[str, list[str]] = {}
    for lever in levers():
        options.setdefault(lever.heading, []).extend(lever.Options.model_fields)
    named = {heading: HEADINGS.get(heading, (LEVERS,)) for heading in (*HEADINGS, *options)}
    return {
        heading: tuple(name for part in names for name in (options.get(heading, ()) if part == LEVERS else (part,)))
        for heading, names in named.items()
    }


class GroupedCommand(click.Command):
    """A command whose help lists its flags under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags, heading by heading; what has none comes last."""
        places = {name: (heading, place) for heading, names in headings().items() for place, name in enumerate(names)}
        listed: dict[str, list[tuple[int, tuple[str, str]]]] = {heading: [] for heading in (*headings(), OUTPUT)}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading, place = places.get(parameter.name or "", (OUTPUT, len(listed[OUTPUT])))
                listed[heading].append((place, record))
        for heading, records in listed.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl([record for _, record in sorted(records, key=lambda item: item[0])])
