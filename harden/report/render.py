"""From a document to what people read: HTML, the model card, the verdict.

Sections are found by the registry, asked whether they apply, and put in order. Equal documents give equal bytes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import ModuleType

from jinja2 import Environment, PackageLoader, StrictUndefined

from harden.registry import SECTIONS
from harden.report import card
from harden.report.blocks import Section
from harden.report.document import Document, Reading
from harden.report.verdict import verdict
from harden.words import clean

__all__ = ["html", "markdown", "sections", "verdict"]


def html(document: Document | Reading) -> str:
    """The whole report as one HTML file without scripts or links to the outside.

    Args:
        document: A record of ``harden eval``, ``fit`` or ``compare``, or its JSON of any version.

    Returns:
        HTML text; the same document gives the same text.

    Raises:
        InputError: The document is none of these.
    """
    reading = Reading(document)
    template = _templates().get_template("report.html.j2")
    return template.render(
        title=_title(reading),
        subtitle=_subtitle(reading),
        verdict=verdict(reading),
        sections=sections(reading),
        version=_version(reading),
    )


def markdown(document: Document | Reading) -> str:
    """The model card (README.md) with the Hugging Face model-index header."""
    return card.markdown(document)


def sections(document: Document | Reading) -> list[Section]:
    """All sections that have something to say, in order, named after their files."""
    reading = Reading(document)
    built = ((name, module.build(reading)) for name, module in _modules())
    return [replace(section, name=name) for name, section in built if section.blocks]


@cache
def _modules() -> list[tuple[str, ModuleType]]:
    modules = [(name, SECTIONS.module(name)) for name in SECTIONS.names()]
    return sorted(modules, key=lambda item: (item[1].ORDER, item[0]))


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("harden.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _title(reading: Reading) -> str:
    if reading.kind == "compare":
        return f"{len(reading.roles)} models compared"
    return reading.model_name


def _subtitle(reading: Reading) -> str:
    parts: list[str] = []
    if reading.kind == "fit":
        parts.append(f"hardened with {reading.method}" if reading.method else "hardened")
    condition = reading.hardest
    single = len(reading.conditions) == 1
    parts.append(f"noise: {condition.described if condition and single else reading.profile}")
    if condition is not None:
        parts.append(f"{condition.subject.chips:,} chips")
    if examples := reading.data.examples:
        parts.append(f"{examples:,} examples")
    # Short parts are kept on one line.
    return " · ".join(part.replace(" ", "\u00a0") if len(part) < 24 else part for part in parts)


def _version(reading: Reading) -> str:
    return clean(reading.environment.harden) if reading.environment else ""
