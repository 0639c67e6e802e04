"""From fits to the laws of a profile's file."""

from __future__ import annotations

from collections.abc import Sequence

from harden.noise.ageing import Ageing, EachTime, Followed, PowerDrift, Relaxation
from harden.noise.fitting import Along, Fit
from harden.noise.shapes import Mixture, StudentT, Window
from harden.noise.stuck_cells import StuckCells
from harden.parsing import Table

_EVEN = 0.02  # of a step: levels that lie so nearly evenly are written evenly, which is faster to draw from
_BLUR = 0.02  # half-widths: edges of a window sharper than this count as sharp
_SAME_PLACE = 0.02  # of the range: where stuck cells so near an end count as stuck at it


def spread_laws(fits: Sequence[tuple[float | None, Fit]], full: float) -> list[Table]:
    """The laws of a deviation: its mean, where there is one, and its spread, at one time or several.

    Args:
        fits: Each with its time, or one with None.
        full: The conductance that the state is a share of.
    """
    times = [time for time, _ in fits]
    common: Table = {"fitted_full": full, "time": "log"} if len(fits) > 1 else {"fitted_full": full}
    laws: list[Table] = []
    if any(fit.mean.parameters for _, fit in fits):
        mean = _pieces(times, [fit.mean for _, fit in fits])
        laws.append({"law": "shift", "argument": "share", "of": "target", "mean": mean, **common})
    sigma = _pieces(times, [fit.scale for _, fit in fits])
    shapes = [fit.shape for _, fit in fits]
    law: dict[str, object] = {"law": "state", "sigma": sigma, **common}
    if isinstance(shapes[0], StudentT):
        df = [shape.df for shape in shapes if isinstance(shape, StudentT)]
        pairs = [list(pair) for pair in zip(times, df, strict=True)]
        law |= {"law": "student_t", "df": df[0] if len(df) == 1 else pairs}
    elif isinstance(shapes[0], Mixture):
        law |= {"law": "scale_mixture", "parts": _parts(times, [s for s in shapes if isinstance(s, Mixture)])}
    elif isinstance(shapes[0], Window):
        law |= {"law": "window", "edge": shapes[0].edge if shapes[0].edge > _BLUR else 0.0}
    return [*laws, law]


def ageing_laws(model: Ageing, data: Followed) -> Table:
    """The stages after programming, and the valid times."""
    first, last = float(data.times[0]), float(data.times[-1])
    if isinstance(model, PowerDrift):
        mean, sigma = ([{"poly": list(curve.poly)}] for curve in (model.drift.mean, model.drift.scale))
        return {
            "time": {"from_s": 0.0, "to_s": last - first},
            "drift": [{"law": "power_drift", "mean": mean, "sigma": sigma, "start_s": first}],
            "read": [{"law": "gaussian", "relative_to": "weight", "sigma": model.read}],
        }
    if isinstance(model, EachTime):
        start = model.fits[0]
        still = Fit(start.mean.scaled(0.0), start.scale.scaled(0.0), start.shape)
        timed = [(first, still), *zip(data.times[1:].tolist(), model.fits, strict=True)]
        return {"time": {"from_s": first, "to_s": last}, "drift": spread_laws(timed, data.full)}
    return {
        "time": {"from_s": data.start_s, "to_s": last} | ({} if first else {"valid_s": [0.0]}),
        "drift": [_relaxation(model, data)],
    }


def _relaxation(model: Relaxation, data: Followed) -> Table:
    curves = {"mean_per_e": model.mean_per_e, "sigma_per_e": model.scale_per_e, "sigma": model.scale}
    law: dict[str, object] = {"law": "relaxation"}
    for name, curve in curves.items():
        law[name] = [{"poly": list(curve.poly)}] if curve.poly else 0.0
    law |= {"start_s": data.start_s, "fitted_full": data.full}
    law["read_at_start"] = bool(data.times[0] > 0)
    shape = model.at_times[0].shape
    if isinstance(shape, StudentT):
        law["df"] = shape.df
    elif isinstance(shape, Mixture):
        law["parts"] = _parts([None], [shape])[0]
    return law


def stuck_law(stuck: StuckCells, low_us: float, high_us: float) -> Table:
    """The law of stuck cells in a range."""
    ends = stuck.low + stuck.high
    law: dict[str, object] = {
        "law": "stuck_at",
        "rate": stuck.share,
        "low_share": stuck.low / ends if ends > 0 else 0.5,
    }
    if stuck.anywhere > 0:
        law["random_share"] = stuck.anywhere
    for key, place, end in (("low_at", stuck.low_us, low_us), ("high_at", stuck.high_us, high_us)):
        if place is not None and abs(place - end) > _SAME_PLACE * (high_us - low_us):
            law[key] = place
    return law


def _parts(times: Sequence[float | None], shapes: Sequence[Mixture]) -> list[Table]:
    size = max(len(shape.weights) for shape in shapes)
    parts: list[Table] = []
    for time, shape in zip(times, shapes, strict=True):
        missing = size - len(shape.weights)
        part: dict[str, object] = {
            "weights": [*shape.weights, *[0.0] * missing],
            "factors": [*shape.scales, *[shape.scales[-1]] * missing],
            "offsets": [*shape.offsets, *[shape.offsets[-1]] * missing],
        }
        parts.append(part if time is None else {"at_s": time, **part})
    return parts


def _pieces(times: Sequence[float | None], curves: Sequence[Along]) -> list[Table]:
    size = max(len(curve.poly) for curve in curves)
    pieces: list[Table] = []
    for time, curve in zip(times, curves, strict=True):
        poly = [float(value) for value in curve.poly] + [0.0] * (max(size, 1) - len(curve.poly))
        piece: dict[str, object] = {"table": _evened(curve.table)} if curve.table else {"poly": poly}
        pieces.append(piece if time is None else {"at_s": time, **piece})
    return pieces


def _evened(points: Sequence[tuple[float, float]]) -> list[list[float]]:
    first, step = points[0][0], (points[-1][0] - points[0][0]) / (len(points) - 1)
    even = [first + index * step for index in range(len(points))]
    near = all(abs(x - place) < _EVEN * step for (x, _), place in zip(points, even, strict=True))
    return [[place if near else x, y] for (x, y), place in zip(points, even, strict=True)]
