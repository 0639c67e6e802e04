"""The pages of the site that are made while it is built: one for each method, lever and device. An mkdocs hook."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

import make_evidence  # noqa: E402
import make_methods  # noqa: E402

_PARTS = {"methods": "Methods", "levers": "Levers", "devices": "Devices"}


@cache
def advice() -> dict[str, Any]:
    """What docs/advice.toml says."""
    return tomllib.loads((DOCS / "advice.toml").read_text(encoding="utf-8"))


def pages() -> dict[str, str]:
    """By path within the site, the text of every page."""
    from harden.noise import describe as noise_text
    from harden.registry import METHODS

    found = {f"methods/{name}.md": _method(name) for name in METHODS.names()}
    found |= {f"levers/{name}.md": _lever(name, one) for name, one in advice()["levers"].items()}
    found |= {f"devices/{one['name']}.md": _device(one["name"]) for one in noise_text.listing()}
    return found


def _method(name: str) -> str:
    from harden import methods

    about = methods.describe(name)
    prose = make_methods._prose(about["description"])
    lines = [f"# {name}", "", f"{about['summary']}. Kind: {about['kind']}.", ""]
    lines += _when(_use(prose), advice()["methods"][name])
    lines += [
        f"**Cost.** {about['cost']} per step (F: forward, B: backward)."
        if "F" in about["cost"]
        else f"**Cost.** {about['cost']}."
    ]
    lines += [
        "",
        f"**Evidence.** {_sources(about['source'])} Our own figures are [below](#measured); more of them in",
        "[methods](../methods.md#what-was-measured).",
        "",
    ]
    lines += [
        "```text",
        f"harden fit model.onnx --method {name} --profile gaussian:sigma=0.1 --data train.parquet",
        "```",
        "",
    ]
    lines += ["## What it does", "", prose, "", "## Options", "", *make_methods._options(about["options"])]
    lines += ["## Measured", "", *make_evidence.of_method(name)]
    return "\n".join(lines) + "\n"


def _sources(source: Any) -> str:
    text = str(source).strip() if source else "Ours."
    return text if text.endswith(".") else f"{text}."


def _use(prose: str) -> str:
    """The paragraph of a docstring that begins with "Use it", without these words."""
    paragraph = next(part for part in prose.split("\n\n") if part.strip().startswith("Use it"))
    return " ".join(paragraph.split()).removeprefix("Use it").strip()


def _lever(name: str, one: dict[str, str]) -> str:
    title = name.replace("-", " ").capitalize()
    lines = [f"# {title}", "", f"Setting: `{one['setting']}`.", "", *_when(f"when {one['use']}", one["not"])]
    lines += [
        f"**Cost.** {one['cost'].capitalize()}",
        "",
        f"**Evidence.** {one['evidence'][0].upper() + one['evidence'][1:]}",
    ]
    lines += ["", "## Measured", "", "Pairs of runs that differ in this lever alone.", *make_evidence.of_lever(name)]
    return "\n".join([*lines, "", "All levers side by side, with their defaults: [levers](../levers.md).", ""])


def _device(name: str) -> str:
    from harden.noise import describe as noise_text
    from harden.noise.profile import Profile

    profile = Profile.load(name)
    one = advice()["devices"][name]
    stages = [stage.name for stage in profile.circuit.stages]
    draws = (
        f"{len(stages)} stage{'' if len(stages) == 1 else 's'} per device ({', '.join(stages)})"
        if stages
        else "a sampler of its own"
    )
    devices = {"direct": 1, "single": 1, "pair": 2 * len(profile.circuit.mapping.significance)}[
        profile.circuit.mapping.kind
    ]
    lines = [f"# {name}", "", f"{profile.summary}.", "", *_when(f"when {one['use']}", one["not"])]
    per_weight = f"{devices} device{'' if devices == 1 else 's'} per weight"
    lines += [f"**Cost of a chip.** {draws.capitalize()}, {per_weight}.", ""]
    lines += [f"**Evidence.** {profile.citation}.", ""]
    lines += ["## Constants and noise", "", f"As `harden profiles show {name}` prints them:", "", "```text"]
    return "\n".join(
        [
            *lines,
            noise_text.text(noise_text.describe(profile)),
            "```",
            "",
            "What the stages and knobs mean: [profiles](../profiles.md).",
            "",
            "## Measured",
            "",
            *make_evidence.of_device(name),
            "",
        ]
    )


def _when(use: str, not_when: str) -> list[str]:
    return [f"**Use** {use.rstrip('.')}.", "", f"**Do not use** it when {not_when}", ""]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation, behind the overview of their part."""
    made = list(pages())
    for entry in config.nav or []:
        for title, children in entry.items():
            folder = next((f for f, t in _PARTS.items() if t == title), None)
            if folder and isinstance(children, list):
                children += [{Path(path).stem: path} for path in made if path.startswith(f"{folder}/")]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files
