"""How often a run stores what it has, and how much its side measurements do: what tests shorten, in one place.

A run of the command line takes the defaults. A process that wants others says so once, before it begins::

    pacing.use(Pacing(checkpoint_s=0.1))
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pacing:
    """Intervals, and counts of what is measured beside the chips.

    The intervals decide no number: a run that is killed ends with the same bits whenever it stored something. The
    counts of protection, severity, ranking and controls do decide what these measure.

    Attributes:
        snapshot_steps: Steps between two snapshots of a training, at most.
        snapshots: Snapshots over a training, at least: two of them and a step are no more than 5% of a long run.
        checkpoint_s: Seconds between two checkpoints of a training, at most.
        loss_s: Seconds of a training's work that a kill may cost.
        patience: Seconds of training per second of writing a checkpoint, where a kill may cost so much.
        commit_trials: Trials between two writes of the sums over chips, at most.
        commit_s: Seconds between them, about: a kill costs no more, and the trials that were under way.
        pilot_steps: Steps of the training that a time budget is measured by.
        budget_steps: Steps that any time budget allows; None works them out from the pilot.
        protection_passes: Noisy backward passes by which layers to protect are ranked.
        protection_checks: How many of the first layers are checked by trials.
        protection_chips: Chips of that check.
        severity_scales: The severity curve's multiples of the profile's noise.
        ranking_passes: Noisy backward passes of the report's ranking of layers.
        ranking_chips: Chips by which that ranking's R² is estimated.
        control_steps: Steps of a control, at most; None gives it as many as the run took.
        control_chips: Chips of a control, at most; None gives it as many as the run.
        page: Whether a run folder gets its report.html, whose figures take longer than a small run.
    """

    snapshot_steps: int = 50
    snapshots: int = 40
    checkpoint_s: float = 4.0
    loss_s: float = 10.0
    patience: float = 30.0
    commit_trials: int = 16
    commit_s: float = 4.0
    pilot_steps: int = 8
    budget_steps: int | None = None
    protection_passes: int = 48
    protection_checks: int = 5
    protection_chips: int = 20
    severity_scales: tuple[float, ...] = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
    ranking_passes: int = 48
    ranking_chips: int = 20
    control_steps: int | None = None
    control_chips: int | None = None
    page: bool = True


_current = Pacing()


def current() -> Pacing:
    """The pacing of this process."""
    return _current


def use(pacing: Pacing) -> None:
    """Set the pacing of this process, for what begins from now on."""
    global _current
    _current = pacing
