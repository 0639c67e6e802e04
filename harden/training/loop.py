"""The training loop: the only one.

A step's batch, noise and learning rate depend on the plan and the step's number only. A checkpoint holds the rest, so
a run that was killed ends with the same bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from harden import distributed, methods
from harden.errors import SettingsError
from harden.graph.analog import AnalogWeight
from harden.levers import levers
from harden.levers.base import Training
from harden.memory import SMALLER, OutOfMemoryError, out_of_memory
from harden.methods.base import Batch, Objective
from harden.runtime.threads import torch_threads
from harden.tasks import task_of
from harden.training.allocation import pages_kept
from harden.training.batches import Batches
from harden.training.checkpoint import Snapshot, Tensors, latest
from harden.training.listener import SILENT, Listener
from harden.training.microbatches import pieces
from harden.training.noise import StepNoise, TrainingNoise
from harden.training.optimizer import build, clip_gradient, factor, set_rate
from harden.training.periphery import TrainingPeriphery
from harden.training.plan import TrainingPlan
from harden.training.precision import TrainingPrecision
from harden.training.problem import Problem
from harden.training.recovery import divide, exploded, roll_back
from harden.training.selection import Selector
from harden.training.snapshots import Snapshots
from harden.training.state import RunState
from harden.training.teachers import Targets, frozen_copy
from harden.training.trained import Trained


def train(problem: Problem, plan: TrainingPlan, listener: Listener = SILENT, checkpoint: Path | None = None) -> Trained:
    """Train a model with an objective and the plan's levers, and select the weights that are best on validation chips.

    Args:
        problem: The network and the examples.
        plan: Everything else that decides the numbers.
        listener: Who is told how it goes on.
        checkpoint: A file to keep the run's state in; where it exists, the run continues from it.

    Returns:
        The model with the selected weights, and how they came about.

    Raises:
        SettingsError: The method is no objective, or its options are wrong.
        DataError: The data does not fit the plan.
        DivergedError: The loss exploded twice, the second time at a tenth of the learning rate.
        OutOfMemoryError: Memory does not even suffice for two examples at a time.
    """
    objective = methods.load(plan.method, plan.options)
    if objective.kind != "objective":
        raise SettingsError(f"method {plan.method} is a {objective.kind}: it has no training loop")
    try:
        with torch_threads(plan.threads), pages_kept():
            return _Run(problem, plan, objective, checkpoint).run(listener)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise OutOfMemoryError(
            "not enough memory for this training", where=f"method {plan.method}", fix=SMALLER
        ) from error


class _Run:
    """One training run, from its first step or from its checkpoint."""

    def __init__(self, problem: Problem, plan: TrainingPlan, objective: Objective, checkpoint: Path | None) -> None:
        model, data, validation = problem.model, problem.training, problem.validation
        self.model, self.plan, self.objective, self.file = model, plan, objective, checkpoint
        self.levers = [lever(plan) for lever in levers() if lever.trains]
        # Those that are on, in the order in which they act.
        self.active = [lever for lever in reversed(self.levers) if lever.on(plan)]
        task = task_of(plan.task, model, data)
        self.net = model.module(task.outputs).to(plan.device)
        needs_clean = task.needs_clean or any(lever.needs_clean(plan) for lever in self.active)
        clean = frozen_copy(model, plan.device, task.outputs) if needs_clean else None
        self.precision = TrainingPrecision(plan, [net for net in (self.net, clean) if net is not None])
        targets = Targets(task, clean, self.active)
        self.batches = Batches(data, plan, targets.task, targets)
        self.total = self.batches.total
        self.training = Training(
            model, self.net, clean, self.total, self.batches.inputs, self._score, self._without_output_noise
        )
        for lever in self.active:
            lever.start(self.training)
        self.periphery = TrainingPeriphery(self.net, data, plan)
        self.selector = Selector(self.net, validation, plan, task, clean if task.needs_clean else None, self.periphery)
        self.net.train()
        self.precision.check(self.batches)
        objective.prepare(self.net, self.batches.at(0))
        self.extra = objective.parameters()
        self.parameters = {**dict(self.net.named_parameters()), **self.extra}
        self.optimizer = build(self.parameters, plan)
        self.tensors = Tensors(self.net, self.extra, self.optimizer)
        self.task_share = math.prod((lever.task_share for lever in self.active), start=1.0)
        self.noise = TrainingNoise(plan, self._analog, self.active)
        file = checkpoint if distributed.is_leader() else None
        self.state = RunState()
        self.snapshots = Snapshots(self.state, self.tensors, plan.digest, file, self.total)

    def _score(self) -> float:
        return self.selector.score()

    def _without_output_noise(self) -> None:
        self.periphery.use(0, "reestimate", noise=0.0)

    def run(self, listener: Listener) -> Trained:
        """All steps, then the batch norms, then the selected weights."""
        started = time.perf_counter()
        state = self.state
        self._start()
        try:
            self._steps(listener)
        except KeyboardInterrupt:
            self.snapshots.write(force=True)
            raise
        self.snapshots.complete()
        self.tensors.restore_network(state.best)
        self.objective.finish(self.net)
        for lever in self.active:
            lever.finish(self.training)
        weights = {name: tensor.cpu() for name, tensor in self.net.export_weights().items()}
        return Trained(
            self.model.with_weights(weights),
            weights,
            state.history,
            state.validation,
            state.best_step,
            self._records(),
            time.perf_counter() - started,
            self.plan,
        )

    def _steps(self, listener: Listener) -> None:
        while self.state.step < self.total:
            self.snapshots.take_if_due()
            record = self._attempt()
            if record is None:
                continue
            listener.on_step(record)
            if self.state.step in self._selections():
                self._select()
            self.snapshots.report(listener.on_progress)

    def _start(self) -> None:
        snapshot = distributed.from_leader(self._kept)
        if snapshot is not None:
            self.snapshots.resume(snapshot)
            for _ in range(self.state.halvings):
                self.selector.divide()
            return
        self._select()
        self._hold(0)

    def _kept(self) -> Snapshot | None:
        return None if self.file is None else latest(self.file, self.plan.digest)

    def _attempt(self) -> Mapping[str, float] | None:
        """A step; None where the loss exploded, or memory did not suffice, and the run went back."""
        try:
            with distributed.short_together():
                return self._step()
        except (RuntimeError, MemoryError, OutOfMemoryError) as error:
            if not out_of_memory(error):
                raise
        # Here, not in the handler: the error's traceback holds on to what the step had allocated.
        self.optimizer.zero_grad(set_to_none=True)
        divide(self.snapshots, self.batches.size, distributed.size())
        return None

    def _step(self) -> Mapping[str, float] | None:
        """One optimizer step; None where the loss exploded and the run went back."""
        step, plan, state = self.state.step, self.plan, self.state
        self.net.train()
        for lever in self.active:
            lever.before_step(self.training, step)
        self.optimizer.zero_grad(set_to_none=True)
        turn = step % len(plan.conditions)
        self.periphery.use(turn, "train", turn, step, noise=self.noise.strength(step / self.total))
        with distributed.together(), self.precision.within():
            batch = self.batches.at(step)
            loss, parts = self._backward(batch, self.noise.at(step, batch.progress))
            self._average_gradients()
            parts = distributed.averages({"loss": loss, **parts})
            loss = parts.pop("loss")
        norm = clip_gradient(self.parameters, plan.gradient_clip)
        if exploded(loss, norm, state.history[0]["loss"] if state.history else loss):
            roll_back(self.snapshots, loss, plan)
            return None
        rate = plan.learning_rate * factor(step, self.total, plan.warmup) * state.rate_scale
        set_rate(self.optimizer, rate)
        self.optimizer.step()
        self._hold(step + 1)
        distributed.confirm()  # before the step counts
        record = {"step": step + 1, "loss": loss, "lr": rate, "gradient": norm, **parts}
        self.snapshots.advance(record)
        return record

    def _hold(self, step: int) -> None:
        """Bring the weights back to what the levers allow."""
        for lever in self.active:
            lever.after_step(self.training, step)

    def _backward(self, batch: Batch, noise: StepNoise) -> tuple[float, dict[str, float]]:
        """Gradients of the objective, the levers' own losses and their penalties; the loss and its parts."""
        parts = list(pieces(batch, self.state.parts))
        named: dict[str, Tensor] = {}
        losses = [self._objective(piece, noise, self.task_share * weight, named) for piece, weight in parts]
        for name, gradient in named.items():
            self.parameters[name].grad = gradient
        for lever in self.active:
            for (piece, weight), losses_of_piece in zip(parts, losses, strict=True):
                for name, loss in lever.losses(piece, noise).items():
                    (weight * loss).backward()
                    losses_of_piece[name] = float(loss.detach())
                    losses_of_piece["loss"] += losses_of_piece[name]
        means = losses[0]
        if len(parts) > 1:
            weights = [weight for _, weight in parts]
            means = {key: sum(w * each[key] for each, w in zip(losses, weights, strict=True)) for key in losses[0]}
        return means.pop("loss"), self._penalize(means)

    def _objective(self, batch: Batch, noise: StepNoise, share: float, named: dict[str, Tensor]) -> dict[str, float]:
        """Gradients of the objective on a part of the batch; those that it gives by name are added to ``named``."""
        result = self.objective.step(self.net, batch, noise)
        if result.gradients is None:
            (share * result.loss).backward()
        else:
            for name, gradient in result.gradients.items():
                so_far = named.get(name)
                named[name] = share * gradient if so_far is None else so_far + share * gradient
        return {"loss": self.task_share * float(result.loss.detach()), **result.parts}

    def _average_gradients(self) -> None:
        own = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        for name, gradient in distributed.averaged(own).items():
            self.parameters[name].grad = gradient

    def _penalize(self, parts: dict[str, float]) -> dict[str, float]:
        for lever in self.active:
            penalty = lever.penalty(self.training)
            if penalty is not None:
                penalty.backward()
                parts[lever.name] = float(penalty.detach())
        return parts

    def _select(self) -> None:
        while True:
            try:
                with distributed.short_together():
                    score = self.selector.score()
                break
            except (RuntimeError, MemoryError, OutOfMemoryError) as error:
                if not out_of_memory(error) or not self.selector.divide():
                    raise
                self.state.halvings += 1
        self.snapshots.selected(self.selector.measure, score)

    def _selections(self) -> set[int]:
        return {round(self.total * (i + 1) / self.plan.selections) for i in range(self.plan.selections)}

    def _analog(self) -> dict[str, AnalogWeight | Tensor]:
        return {**self.net.analog_weights(self.plan.digital), **self.objective.analog_weights()}

    def _records(self) -> dict[str, object]:
        """What each lever did, and what else befell the run."""
        plan = self.plan
        return {
            **{lever.name: lever.to_json(lever.record()) for lever in self.levers},
            **({"amp": plan.amp} if plan.amp != "off" else {}),
            **({"channels_last": True} if plan.channels_last else {}),
            "rollbacks": self.state.rollbacks,
            **({"memory": self.state.divisions} if self.state.divisions else {}),
            **({"periphery": self.periphery.record()} if self.periphery.on else {}),
        }
