"""What a calibration is: the profile, what was fitted and compared, and what its plots show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from harden.noise.fitting import Fit, Values
from harden.noise.goodness import Goodness
from harden.noise.selection import Comparison


@dataclass(frozen=True)
class Panel:
    """One plot: data and the fit of its spread.

    Attributes:
        title: What is shown.
        unit: Unit of the values.
        target: The state in µS.
        values: What was fitted, over the share of g_max.
        fit: The fit.
    """

    title: str
    unit: str
    target: np.ndarray
    values: Values
    fit: Fit

    @property
    def shown_unit(self) -> str:
        """The unit as an axis shows it."""
        return f" ({self.unit})" if self.unit else ""


class PanelFit(Goodness):
    """The number of values of a panel, its fit's curves (coefficients or points) and shape, and its goodness."""

    rows: int
    mean: list[float] | list[list[float]]
    sigma: list[float] | list[list[float]]
    shape: str


class Stuck(TypedDict):
    """Stuck cells: their share of all cells, and of these the shares at the low end, the high end and anywhere."""

    share: float
    low: float
    high: float
    anywhere: float
    low_us: float | None
    high_us: float | None
    cells: int


class Fitted(TypedDict):
    """What was fitted: numbers of the data, what was noted, stuck cells, the models compared, each panel's fit."""

    rows: int
    g_max_us: float
    d2d: float | None
    notes: list[str]
    stuck: Stuck | None
    compared: dict[str, list[Comparison]]
    fits: dict[str, PanelFit]


@dataclass(frozen=True)
class Calibration:
    """A fitted profile.

    Attributes:
        name: The profile's name.
        toml: The profile's file.
        fit: What was fitted, and how well.
        panels: What the plots show.
        g_max_us: The largest conductance of the profile.
    """

    name: str
    toml: str
    fit: Fitted
    panels: tuple[Panel, ...]
    g_max_us: float
