"""The training loop: the only one.

A step's batch, noise and learning rate depend on the plan and the step's number only. A checkpoint holds the rest, so
a run that was killed ends with the same bits as one that was not.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from torch import Tensor

from harden import distributed, methods
from harden.errors import SettingsError
from harden.memory import SMALLER, OutOfMemoryError, out_of_memory
from harden.methods.base import Batch, Objective
from harden.runtime.threads import torch_threads
from harden.training.allocation import pages_kept
from harden.training.batches import Batches
from harden.training.begin import begin
from harden.training.checkpoint import Snapshot, Tensors, latest
from harden.training.features import Features
from harden.training.finish import finish_batch_norms, settle_batch_norms
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
from harden.transforms import clip as clipping
from harden.transforms import column_scaling
from harden.transforms.batch_norm import statistics
from harden.transforms.penalty import penalty
from harden.transforms.range_search import search_limits


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
        self.net = model.module().to(plan.device)
        needs_clean = plan.objective == "match" or plan.teacher == "clean"
        clean = frozen_copy(model, plan.device) if needs_clean else None
        self.precision = TrainingPrecision(plan, [net for net in (self.net, clean) if net is not None])
        targets = Targets(plan, self.net, clean)
        self.batches = Batches(data, plan, targets.task, targets)
        self.total = self.batches.total
        self.rescaled = begin(self.net, self.batches, plan)
        self.periphery = TrainingPeriphery(self.net, data, plan)
        self.selector = Selector(
            self.net, validation, plan, clean if plan.objective == "match" else None, self.periphery
        )
        self.net.train()
        self.precision.check(self.batches)
        objective.prepare(self.net, self.batches.at(0))
        self.extra = objective.parameters()
        self.parameters = {**dict(self.net.named_parameters()), **self.extra}
        self.optimizer = build(self.parameters, plan)
        self.tensors = Tensors(self.net, self.extra, self.optimizer)
        listens = plan.teacher_match != "logits"
        self.features = Features(plan, self.net, clean, self.batches.at(0).inputs) if listens else None
        self.noise = TrainingNoise(plan, self._analog)
        self.clip = self._clip()
        self.columns = self._columns()
        frozen = plan.frozen_share if statistics(self.net) else 0.0
        self.frozen_from = self.total - round(frozen * self.total)
        file = checkpoint if distributed.first() else None
        self.state = RunState()
        self.snapshots = Snapshots(self.state, self.tensors, plan.digest, file, self.total)

    def _clip(self) -> clipping.Clip | None:
        plan, found = self.plan, None
        k = clipping.resolve(plan.clip, [profile for profile, _ in plan.profiles])
        if plan.clip == "search":
            net = self.net if plan.device == "cpu" else self.model.module()
            inputs = tuple(one.cpu() for one in self.batches.at(0).inputs)
            found = search_limits(net, inputs, plan.profiles, plan.digital, plan.seed)
        elif k is None:
            return None
        return clipping.Clip(clipping.clippable(self.net, plan.digital), k, plan.clip_anneal, found)

    def _columns(self) -> column_scaling.ColumnScaling | None:
        plan, profiles = self.plan, [profile for profile, _ in self.plan.profiles]
        if not column_scaling.wanted(plan.column_scaling, profiles):
            return None
        k = None if plan.clip == "search" else clipping.resolve(plan.clip, profiles)
        found = column_scaling.ColumnScaling(self.net, self.batches.at(0).inputs, k, plan.digital)
        return found if found.record["columns"] else None

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
        levers = self._levers()
        levers["batch_norm_reestimation"] = finish_batch_norms(self.net, self.batches, self.selector, self.plan)
        weights = {name: tensor.cpu() for name, tensor in self.net.export_weights().items()}
        return Trained(
            self.model.with_weights(weights),
            weights,
            state.history,
            state.validation,
            state.best_step,
            levers,
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
        snapshot = distributed.from_first(self._kept)
        if snapshot is not None:
            self.snapshots.resume(snapshot)
            for _ in range(self.state.halvings):
                self.selector.divide()
            return
        self._select()
        self._project(0.0)

    def _kept(self) -> Snapshot | None:
        return None if self.file is None else latest(self.file, self.plan.digest)

    def _attempt(self) -> dict[str, Any] | None:
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

    def _step(self) -> dict[str, Any] | None:
        """One optimizer step; None where the loss exploded and the run went back."""
        step, plan, state = self.state.step, self.plan, self.state
        if step == self.frozen_from and step > 0 and plan.batch_norm_reestimation != "off":
            settle_batch_norms(self.net, self.batches, self.periphery, plan)
        self.net.train(step < self.frozen_from)
        self.optimizer.zero_grad(set_to_none=True)
        turn = step % len(plan.profiles)
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
        self._project((step + 1) / self.total)
        distributed.confirm()  # before the step counts
        record = {"step": step + 1, "loss": loss, "lr": rate, "gradient": norm, **parts}
        self.snapshots.advance(record)
        return record

    def _project(self, done: float) -> None:
        """Bring the weights back to what the levers allow."""
        if self.columns:
            self.columns.apply()
        if self.clip:
            self.clip.apply(done)

    def _backward(self, batch: Batch, noise: StepNoise) -> tuple[float, dict[str, float]]:
        """Gradients of the objective, the teacher's features and the penalties; the loss and its parts."""
        share = self.features.task_share if self.features else 1.0
        parts = list(pieces(batch, self.state.parts))
        named: dict[str, Tensor] = {}
        losses = [self._objective(piece, noise, share * weight, named) for piece, weight in parts]
        for name, gradient in named.items():
            self.parameters[name].grad = gradient
        if self.features:
            for (piece, weight), losses_of_piece in zip(parts, losses, strict=True):
                feature_loss = self.features.loss(piece, noise)
                (weight * feature_loss).backward()
                losses_of_piece["teacher_features"] = float(feature_loss.detach())
                losses_of_piece["loss"] += losses_of_piece["teacher_features"]
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
        task_share = self.features.task_share if self.features else 1.0
        return {"loss": task_share * float(result.loss.detach()), **result.parts}

    def _average_gradients(self) -> None:
        own = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        for name, gradient in distributed.averaged(own).items():
            self.parameters[name].grad = gradient

    def _penalize(self, parts: dict[str, float]) -> dict[str, float]:
        plan = self.plan
        if plan.range_penalty or plan.kurtosis_penalty:
            extra = penalty(self.net.analog_weights(plan.digital), plan.range_penalty, plan.kurtosis_penalty)
            extra.backward()
            parts["penalty"] = float(extra.detach())
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

    def _analog(self) -> dict[str, Any]:
        return {**self.net.analog_weights(self.plan.digital), **self.objective.analog_weights()}

    def _levers(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "clip": self.clip.record if self.clip else None,
            "column_scaling": self.columns.record if self.columns else None,
            **({"rescale_first": self.rescaled} if self.rescaled else {}),
            **({"amp": plan.amp} if plan.amp != "off" else {}),
            **({"channels_last": True} if plan.channels_last else {}),
            "freeze_batch_norms": 1 - self.frozen_from / self.total,
            "teacher": None
            if plan.teacher == "none"
            else {
                "kind": plan.teacher,
                "weight": plan.teacher_weight,
                "temperature": plan.temperature,
                **({"match": plan.teacher_match, "taps": ", ".join(self.features.taps)} if self.features else {}),
            },
            "train_sigma_scale": plan.train_sigma_scale,
            "noise_ramp": plan.noise_ramp,
            "penalty": {"range": plan.range_penalty, "kurtosis": plan.kurtosis_penalty},
            "rollbacks": self.state.rollbacks,
            **({"memory": self.state.divisions} if self.state.divisions else {}),
            **({"periphery": self.periphery.record()} if self.periphery.on else {}),
        }
