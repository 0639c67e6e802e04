"""All that can be wrong with a command's settings beyond their types, reported in one go, before anything is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harden import methods
from harden.analyses.mean_to_precision import parse_until
from harden.analyses.sweeps import parse_sweep
from harden.data import sources
from harden.errors import HardenError, SettingsError
from harden.evaluation.copies import parse_copies
from harden.evaluation.custom import load_metrics
from harden.graph.loading import missing
from harden.pipeline.clamping import check_new_nodes
from harden.pipeline.inputs import open_conditions
from harden.pipeline.missing import require
from harden.pipeline.tracking import check_tracking
from harden.settings import FitSettings, Settings, origin
from harden.statistics.requirements import Requirement, check_meetable
from harden.training.protect import budget_of

Check = Callable[[], Any]


def check_settings(settings: Settings, *needed: str) -> None:
    """Check every name, expression and path of a command's settings.

    Args:
        settings: The command's settings.
        needed: Fields that it cannot do without.

    Raises:
        HardenError: The one thing that is wrong, as it is; or a SettingsError that lists all, each with the flag
            or the line of the file that it came from.
    """
    failures: list[tuple[str, HardenError]] = []
    for field, check in [*_checks(settings), ("", lambda: require(settings, *needed))]:
        try:
            check()
        except HardenError as error:
            failures.append((field, error))
    if len(failures) == 1:
        field, error = failures[0]
        place = origin(settings, field) if field else ""
        if ", line " in place:  # a flag is in the user's eyes, a file is not
            error.where = f"{place}: {error.where}" if error.where else place
        raise error
    if failures:
        problems = [_told(settings, field, error) for field, error in failures]
        raise SettingsError("settings are wrong", problems=problems)


def _told(settings: Settings, field: str, error: HardenError) -> str:
    """An error behind the place of its value, with its problems in the lines below, one step further in."""
    text, place = str(error).replace("\n", "\n  "), origin(settings, field) if field else ""
    return text if not place or text.startswith(f"{place}:") else f"{place}: {text}"


def _checks(settings: Settings) -> Iterator[tuple[str, Check]]:
    yield "model", lambda: _model(settings.model)
    for other in getattr(settings, "others", ()):
        yield "others", lambda other=other: _model(other)
    if settings.weights:
        yield "weights", lambda: _file(str(settings.weights))
    yield "profile", lambda: open_conditions(settings.profile, settings.at)
    yield "require", lambda: _requirements(settings)
    for field in ("data", "val", "test"):
        source = getattr(settings, field, None)
        if source:
            yield field, lambda source=source: sources.member(source)
    yield from _fit(settings) if isinstance(settings, FitSettings) else _eval(settings)


def _fit(settings: FitSettings) -> Iterator[tuple[str, Check]]:
    yield "method", lambda: methods.resolve(settings.method)
    if settings.method in [*methods.names(), *methods.ALIASES]:
        yield "options", lambda: methods.load(settings.method, settings.options)
    yield "train_profile", lambda: open_conditions(settings.train_profile, ())
    yield "track", lambda: check_tracking(settings.track)
    yield "clamp_activations", lambda: check_new_nodes(settings)
    if settings.protect:
        yield "protect", lambda: budget_of(str(settings.protect))


def _eval(settings: Any) -> Iterator[tuple[str, Check]]:
    """Of ``harden eval``; ``harden compare`` has none of these fields."""
    if getattr(settings, "metric", ()):
        yield "metric", lambda: load_metrics(settings.metric)
    if getattr(settings, "copies", ()):
        yield "copies", lambda: parse_copies(settings.copies)
    if getattr(settings, "until", None):
        yield "until", lambda: parse_until(settings.until)
    for text in getattr(settings, "sweep", ()):
        yield "sweep", lambda text=text: parse_sweep(text)


def _requirements(settings: Settings) -> None:
    check_meetable([Requirement.parse(text) for text in settings.require], settings.chips)


def _model(source: str) -> None:
    if not source.startswith("timm:"):
        _file(source)


def _file(source: str) -> None:
    if not Path(source).exists():
        raise missing(source)
