"""A dry run, and the settings of a run, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harden.words import clean, duration

_HALF_AN_HOUR_S = 1800.0


def settings_text(rows: Sequence[dict[str, Any]]) -> str:
    """The settings for people: what was given first, each with its origin, then what is left at its default."""
    given = [row for row in rows if row["origin"] != "default"]
    width = max((len(row["name"]) for row in given), default=0)
    lines = [f"  {row['name']:<{width}}  {_value(row['value'])}  ({row['origin']})" for row in given]
    defaults = ", ".join(f"{row['name']} {_value(row['value'])}" for row in rows if row["origin"] == "default")
    return "\n".join(["settings", *lines, f"  by default: {defaults}"])


def dry_run_text(document: dict[str, Any]) -> str:
    """The document for people."""
    lines = [settings_text(document["settings"]), "work"]
    lines += [f"  {_sentence(model)}" for model in document["models"]]
    for name, data in document["data"].items():
        lines.append(f"  {name}: {data['examples']:,} examples of {data['source']}, {data['classes']} classes")
    lines += [f"  {name.replace('_', ' ')}: {clean(_value(value))}" for name, value in document["resolved"].items()]
    estimate = document["estimate"]
    lines.append("estimate")
    lines += [f"  {stage}: {duration(round(value, 1))}" for stage, value in estimate["seconds"].items()]
    runs = "" if estimate["runs"] == 1 else f" ({estimate['runs']} seeds)"
    lines.append(f"  in all: about {duration(max(1, round(estimate['total_s'])))}{runs}")
    if estimate["memory_bytes"]:
        lines.append(f"  memory: about {estimate['memory_bytes'] / 1e9:.1f} GB")
    if estimate["total_s"] > _HALF_AN_HOUR_S:
        lines.append("  shorter: --budget 10min bounds the training; fewer --chips; a smaller --limit or --input-size")
    writes = document["writes"]
    lines.append("nothing was written" + (f"; the run would write to {writes}" if writes else ""))
    return "\n".join(lines)


def _sentence(model: dict[str, Any]) -> str:
    return (
        f"model: {model['source']}, opset {model['opset']}, batch norms {model['batch_norm']}, "
        f"{model['analog_weights']} analog weights ({model['analog_parameters']:,} values)"
    )


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_value(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(_value(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
