"""The flags of ``--help`` under headings, the ones that everybody needs first."""

from __future__ import annotations

import click

HEADINGS: dict[str, tuple[str, ...]] = {
    "Essentials": ("profile", "at", "method", "options", "budget", "epochs", "second_try", "out"),
    "Model": ("weights", "pretrained", "new_head", "fold_bn", "digital", "protect"),
    "Data": ("data", "test", "val", "objective", "mean", "std", "input_size", "limit", "augment", "select"),
    "Chips and requirements": (
        *("chips", "threshold", "require", "metric", "until", "sweep", "copies", "column_baseline", "also", "replay"),
        *("keep_worst", "worst_onnx", "draw"),
    ),
    "Evidence and tracking": ("controls", "ablation", "seeds", "track"),
    "Levers": (
        *("clip", "clip_anneal", "rescale_first", "column_scaling", "freeze_batch_norms", "batch_norm_reestimation"),
        *("teacher", "teacher_weight", "temperature", "teacher_match", "teacher_taps", "train_sigma_scale"),
        *("noise_ramp", "train_profile", "range_penalty", "kurtosis_penalty", "label_smoothing"),
        *("clamp_activations", "allow_new_nodes"),
    ),
    "Optimizer": ("batch_size", "optimizer", "lr", "weight_decay", "warmup", "gradient_clip"),
    "Reproducibility": ("seed",),
    "Machine": ("threads", "device", "engine", "workers", "max_memory", "amp", "channels_last"),
}
OUTPUT = "Output"


class GroupedCommand(click.Command):
    """A command whose help lists its flags under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags, heading by heading; what has none comes last."""
        places = {name: (heading, place) for heading, names in HEADINGS.items() for place, name in enumerate(names)}
        found: dict[str, list[tuple[int, tuple[str, str]]]] = {heading: [] for heading in (*HEADINGS, OUTPUT)}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading, place = places.get(parameter.name or "", (OUTPUT, len(found[OUTPUT])))
                found[heading].append((place, record))
        for heading, records in found.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl([record for _, record in sorted(records, key=lambda one: one[0])])
