"""What a command's settings say, read once; all that is wrong is reported in one go, before anything is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from harden import methods
from harden.analyses.mean_to_precision import parse_until
from harden.analyses.sweeps import parse_sweep
from harden.data import sources
from harden.data.dataset import Dataset
from harden.errors import HardenError, SettingsError
from harden.evaluation.copies import Copies, parse_copies
from harden.evaluation.custom import Metric, load_metrics
from harden.evaluation.judge import Judge
from harden.evaluation.plan import Condition
from harden.evaluation.where import Where
from harden.graph.loading import missing
from harden.levers.protect import budget_of
from harden.methods.base import Objective, Recipe, Transform
from harden.noise.profile import Profile
from harden.pipeline.machine import drawn_on
from harden.pipeline.tracking import check_tracking
from harden.progress import Notify
from harden.settings import FILE, EvalSettings, FitSettings, Settings, origin
from harden.statistics.requirements import METRIC, Requirement, check_meetable
from harden.tasks import AUTO, tasks

T = TypeVar("T")

_LINES = {
    "model": 'model = "model.onnx"            # or timm:NAME',
    "profile": 'profile = "rram1"               # the noise of the hardware; see harden profiles list',
    "data": 'data = "train.parquet"          # parquet, a folder of images, or .npz',
}
_EXAMPLES_LINE = 'test = "test.parquet"           # parquet, a folder of images, or .npz'
_TEST_LINE = 'test = "test.parquet"           # what to report on; optional'


@dataclass(frozen=True)
class Checked:
    """What the texts of a command's settings stand for.

    Attributes:
        conditions: The noise that models are judged under: every profile at every time, in the order asked for.
        requirements: The demands of ``--require``.
        method: The method, with its options; None for commands without one.
        noise: The noise to harden against.
        protection: Share of the weights that may be kept digital, in (0, 1); None protects nothing.
        metrics: Measures of the user's own, by name.
        copies: Devices per weight, by glob.
        axes: Parameters to sweep, with their values.
    """

    conditions: tuple[Condition, ...]
    requirements: tuple[Requirement, ...] = ()
    method: Objective | Transform | Recipe | None = None
    noise: tuple[Condition, ...] = ()
    protection: float | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    copies: Copies = ()
    axes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def kind(self) -> str | None:
        """Of the method: ``objective``, ``transform`` or ``recipe``."""
        return None if self.method is None else self.method.kind

    def judge(self, settings: Settings, data: Dataset, where: Where, notify: Notify) -> Judge:
        """The judge that the settings ask for.

        Args:
            settings: Of ``harden fit``, ``eval`` or ``compare``.
            data: The examples to report on.
            where: What the chips run on.
            notify: Called with stage, done and total.
        """
        return Judge(
            data=data,
            conditions=self.conditions,
            chips=settings.chips,
            seed=settings.seed,
            where=where,
            threshold=settings.threshold,
            requirements=self.requirements,
            metrics=self.metrics,
            task=judged_by(settings),
            headline=_headline(settings),
            notify=notify,
        )


def judged_by(settings: Settings) -> str:
    """The task that models are judged by: where outputs are matched in training, labels count if there are any."""
    return AUTO if settings.objective == "match" else settings.task


def _headline(settings: Settings) -> str:
    """The figure that the report is about: what selects, where that is the user's metric."""
    selects = getattr(settings, "select", AUTO) == METRIC
    return METRIC if selects and settings.headline == AUTO else settings.headline


def check(settings: Settings, *needed: str) -> Checked:
    """Read every name, expression and path of a command's settings.

    Args:
        settings: The command's settings.
        needed: Fields that it cannot do without.

    Raises:
        HardenError: The one thing that is wrong, as it is; or a SettingsError that lists all, each with the flag
            or the line of the file that it came from.
    """
    problems = _Problems(settings)
    problems.of("model", lambda: _model(settings.model))
    for other in getattr(settings, "others", ()):
        problems.of("others", lambda other=other: _model(other))
    if settings.weights:
        problems.of("weights", lambda: _file(str(settings.weights)))
    device = problems.of("device", lambda: drawn_on(settings))
    conditions = problems.of("profile", lambda: open_conditions(settings.profile, settings.at, device)) or ()
    checked = Checked(
        conditions,
        problems.of("require", lambda: _requirements(settings)) or (),
        metrics=problems.of("metric", lambda: load_metrics(settings.metric)) or {},
    )
    for name in ("data", "val", "test"):
        source = getattr(settings, name, None)
        if source:
            problems.of(name, lambda source=source: sources.member(source))
    if isinstance(settings, FitSettings):
        checked = _of_fit(settings, checked, device, problems)
    elif isinstance(settings, EvalSettings):
        checked = _of_eval(settings, checked, problems)
    problems.of("", lambda: require(settings, *needed))
    problems.tell()
    return checked


def _of_fit(settings: FitSettings, checked: Checked, device: str | None, problems: _Problems) -> Checked:
    problems.of("method", lambda: methods.resolve(settings.method))
    method = None
    if settings.method in [*methods.names(), *methods.ALIASES]:
        method = problems.of("options", lambda: methods.load(settings.method, settings.options))
    noise = problems.of("train_profile", lambda: open_conditions(settings.train_profile, (), device))
    problems.of("track", lambda: check_tracking(settings.track))
    problems.of("clamp_activations", lambda: _check_new_nodes(settings))
    share = problems.of("protect", lambda: budget_of(str(settings.protect))) if settings.protect else None
    return replace(checked, method=method, noise=noise or checked.conditions, protection=share)


def _of_eval(settings: EvalSettings, checked: Checked, problems: _Problems) -> Checked:
    copies = problems.of("copies", lambda: parse_copies(settings.copies)) or ()
    if settings.until:
        problems.of("until", lambda: parse_until(str(settings.until)))
    axes = [problems.of("sweep", lambda text=text: parse_sweep(text)) for text in settings.sweep]
    return replace(checked, copies=copies, axes=dict(axis for axis in axes if axis is not None))


class _Problems:
    """Collects what is wrong with settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._failures: list[tuple[str, HardenError]] = []

    def of(self, name: str, read: Callable[[], T]) -> T | None:
        """What a setting stands for; None where it is wrong, which is remembered."""
        try:
            return read()
        except HardenError as error:
            self._failures.append((name, error))
            return None

    def tell(self) -> None:
        """Raise what was collected, if anything was."""
        if len(self._failures) == 1:
            name, error = self._failures[0]
            place = origin(self._settings, name) if name else ""
            if ", line " in place:  # a flag is in the user's eyes, a file is not
                error.where = f"{place}: {error.where}" if error.where else place
            raise error
        if self._failures:
            problems = [_told(self._settings, name, error) for name, error in self._failures]
            raise SettingsError("settings are wrong", problems=problems)


def _told(settings: Settings, field: str, error: HardenError) -> str:
    """An error behind the place of its value, with its problems in the lines below, one step further in."""
    text, place = str(error).replace("\n", "\n  "), origin(settings, field) if field else ""
    return text if not place or text.startswith(f"{place}:") else f"{place}: {text}"


def open_conditions(
    profiles: Sequence[str], times_s: Sequence[float], device: str | None = None
) -> tuple[Condition, ...]:
    """Every profile at every time, in the order asked for; all problems at once.

    Args:
        profiles: ``NAME[:key=value,...]``.
        times_s: Seconds since programming; none means each profile's first valid time.
        device: From :func:`drawn_on`.

    Raises:
        HardenError: A profile is unknown or malformed, or not valid at a time.
    """
    conditions: list[Condition] = []
    failures: list[HardenError] = []
    for text in profiles:
        profile = _collect(lambda text=text: Profile.parse(text).on_device(device), failures)
        if profile is None:
            continue
        for at_s in times_s or (profile.default_at_s,):
            time = _collect(lambda profile=profile, at_s=at_s: profile.check_time(at_s), failures)
            if time is not None:
                conditions.append(Condition(profile, time))
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise SettingsError(f"{len(failures)} profiles are wrong", problems=[str(failure) for failure in failures])
    return tuple(conditions)


def _collect(call: Callable[[], T], failures: list[HardenError]) -> T | None:
    try:
        return call()
    except HardenError as error:
        failures.append(error)
        return None


def _requirements(settings: Settings) -> tuple[Requirement, ...]:
    figures = [measure.name for task in tasks() for measure in task.measures]
    requirements = tuple(Requirement.parse(text, [*figures, METRIC]) for text in settings.require)
    check_meetable(requirements, settings.chips)
    return requirements


def require(settings: Settings, *names: str) -> None:
    """Check that settings which have no default are there.

    Args:
        settings: The command's settings.
        names: The fields it cannot do without.

    Raises:
        SettingsError: Any is absent; shows the flags and the lines to add to harden.toml.
    """
    absent = [name for name in names if not getattr(settings, name)]
    if not absent:
        return
    flags = " and ".join(f"--{name}" for name in absent)
    trains = "method" in type(settings).model_fields
    lines = [_LINES[name] for name in absent]
    if "data" in absent:
        lines = [line for line in lines if line != _LINES["data"]]
        lines += [_LINES["data"], _TEST_LINE] if trains else [_EXAMPLES_LINE]
    hint = ". Without data: harden fit MODEL --method rescale" if trains else ""
    text = f"{flags} {'is' if len(absent) == 1 else 'are'} missing"
    if len(lines) == 1:
        raise SettingsError(
            text, fix=f"Give it, or put this line into {FILE} in this folder: {' '.join(lines[0].split())}"
        )
    given = "it" if len(absent) == 1 else "them"
    raise SettingsError(text, fix=f"Give {given}, or put these lines into {FILE} in this folder{hint}", problems=lines)


def _model(source: str) -> None:
    if not source.startswith("timm:"):
        _file(source)


def _file(source: str) -> None:
    if not Path(source).exists():
        raise missing(source)


def _check_new_nodes(settings: FitSettings) -> None:
    """Refuse clamps in a graph that must not grow.

    Raises:
        SettingsError: ``--clamp-activations`` without ``--allow-new-nodes`` or without ``--data``.
    """
    if settings.clamp_activations is None:
        return
    problems = []
    if not settings.allow_new_nodes:
        problems.append("--clamp-activations adds Clip nodes to the graph: say --allow-new-nodes, too")
    if not settings.data:
        problems.append("--clamp-activations calibrates its bounds on examples: give --data")
    if problems:
        raise SettingsError("activations cannot be clamped like this", problems=problems)
