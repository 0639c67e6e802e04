"""A noise profile: a device, its knobs, and the one function that perturbs weights.

Training and validation call the same `Profile.perturb`; a chip is one draw of all weights on a named path.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harden.errors import ProfileError, SettingsError
from harden.noise.assembly import Assembled, assemble, try_assemble
from harden.noise.circuit import Circuit, Draw
from harden.noise.definition import Definition, read_definition
from harden.noise.knobs import Distribution, KnobValue, resolve
from harden.noise.periphery import KNOBS as PERIPHERY
from harden.noise.periphery import Periphery
from harden.noise.profile_text import find_definition, join_text, split_text
from harden.noise.reference import AnalogWeightLike
from harden.streams import numpy_generator


@dataclass(frozen=True)
class Profile:
    """A device with its knobs set. Make one with `load` or `parse`.

    Attributes:
        name: The shipped device, or the file's stem.
        definition: What the file says.
        parameters: Every knob with its value.
        severity: 1 is the device, 0 is no noise.
        drawn_on: The kind of device (``cpu``, ``cuda``) whose own family of streams is drawn from, there; None is the
            usual family, which any machine repeats.

    Example:
        >>> profile = Profile.parse("gaussian:sigma=0.1")
        >>> w = {"fc.weight": torch.ones(2, 3)}
        >>> noisy = profile.chip(w, seed=0, index=17)["fc.weight"]
        >>> bool((noisy == w["fc.weight"]).any())
        False
        >>> bool((profile.scaled(0).chip(w, seed=0, index=17)["fc.weight"] == 1).all())
        True
    """

    name: str
    definition: Definition = field(repr=False)
    knobs: Mapping[str, KnobValue]
    severity: float = 1.0
    drawn_on: str | None = None

    @classmethod
    def load(cls, name: str | Path, /, **knobs: object) -> Profile:
        """Load a shipped device by name, or a profile from a TOML file, or a black-box sampler ``module:function``.

        Args:
            name: ``rram1``, ``path/to/file.toml`` or ``module:function``.
            **knobs: Values of its parameters; the file has the defaults.

        Raises:
            UnknownNameError: No such device.
            SettingsError: An unknown knob, or a value out of range; all of them are listed.
            ProfileError: The file is absent or malformed; all problems are listed.
        """
        label, text = find_definition(str(name))
        definition = read_definition(text, where=str(name))
        values, problems = resolve(definition.all_knobs(), knobs)
        if problems:
            raise SettingsError(f"profile '{name}' does not accept these parameters", problems=problems)
        profile = cls(label, definition, values)
        if knobs:
            _, problems = try_assemble(definition, profile._middle())
            _ = cls(label, definition, resolve(definition.all_knobs(), {})[0])._assembled  # else the file is at fault
            if problems:
                raise SettingsError(f"profile '{name}' does not accept these parameters", problems=problems)
        profile._assembled.check()
        return profile

    @classmethod
    def parse(cls, text: str) -> Profile:
        """Load a profile from the text of a flag: ``NAME[:key=value,...]``.

        Raises:
            UnknownNameError, SettingsError, ProfileError: As `load`.

        Example:
            >>> str(Profile.parse("gaussian:sigma=0.2,relative_to=weight"))
            'gaussian:sigma=0.2,relative_to=weight'
        """
        name, knobs = split_text(text)
        return cls.load(name, **knobs)

    @property
    def summary(self) -> str:
        """One line on the device."""
        return self.definition.summary

    @property
    def citation(self) -> str:
        """Where its constants come from."""
        return self.definition.citation

    @property
    def parameters(self) -> dict[str, float | int | bool | str]:
        """The knobs, resolved; a distribution as its text. Severity is listed where it is not 1.

        Knobs of the periphery are listed where something stands around the crossbars.
        """
        hidden = () if self._assembled.periphery.on else PERIPHERY
        shown = {key: value for key, value in self.knobs.items() if key not in hidden}
        values = {key: str(value) if isinstance(value, Distribution) else value for key, value in shown.items()}
        if self.severity != 1:
            values["severity"] = self.severity
        return values if self.drawn_on is None else {**values, "draw": self.drawn_on}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that decides a number: laws, constants, mapping, times, knobs, severity; no prose."""
        content = self.definition.model_dump(exclude={"summary", "citation", "notes", "knobs", "periphery"})
        parameters = self.parameters  # without the periphery's where that is off
        knobs = {key: knob for key, knob in self.definition.all_knobs().items() if key in parameters}
        values = {key: knob.meaning(parameters[key]) for key, knob in knobs.items() if key != "gradient"}
        document: dict[str, object] = {"definition": content, "knobs": values, "severity": self.severity}
        if self.drawn_on is not None:
            document["draw"] = self.drawn_on
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    @property
    def periphery(self) -> Periphery:
        """The converters and the output noise around each analog layer; the noise times the severity."""
        around = self._assembled.periphery
        return around if self.severity == 1 else replace(around, output_noise=around.output_noise * self.severity)

    @property
    def default_at_s(self) -> float:
        """The first valid time, in seconds since programming."""
        return self.definition.time.first

    def check_time(self, at_s: float | None) -> float:
        """The time to use: ``at_s``, or the first valid time for None.

        Raises:
            ProfileError: The profile says nothing about this time; it is never extrapolated.
        """
        if at_s is None:
            return self.default_at_s
        time = self.definition.time
        if not (math.isfinite(at_s) and at_s >= 0 and time.covers(float(at_s))):
            raise ProfileError(
                f"{at_s:g} s is outside its valid times", where=f"profile '{self.name}'", fix=f"Valid: {time}"
            )
        return float(at_s)

    @property
    def scales_with_range(self) -> bool:
        """Whether the noise of a weight grows with the largest weight of its tensor, column or tile."""
        return self._assembled.grows_with_range

    @property
    def _own_gradient(self) -> bool:
        own = self.knobs.get("gradient") == "own" and self.circuit.mapping.kind == "direct"
        return own and not self.scales_with_range

    @property
    def sigma(self) -> float | None:
        """The profile's own noise level (its knob ``level``) times the severity; None where it has none."""
        level = self.definition.level
        if level is None:
            return None
        value = self.knobs[level]
        return float(value.centre if isinstance(value, Distribution) else value) * self.severity

    def with_sigma(self, sigma: float) -> Profile:
        """The same device at another noise level.

        Raises:
            SettingsError: The profile has no level, or the value is out of its range.
        """
        level = self.definition.level
        if level is None:
            raise SettingsError(
                f"profile '{self.name}' has no noise level of its own", fix="Scale its severity instead."
            )
        values, problems = resolve(self.definition.all_knobs(), {**self.knobs, level: sigma})
        if problems:
            raise SettingsError(f"profile '{self.name}' does not accept these parameters", problems=problems)
        return replace(self, knobs=values, severity=1.0)

    def on_device(self, kind: str | None) -> Profile:
        """The same device, its chips drawn on a kind of processor, from a family of streams of that kind's own.

        Args:
            kind: ``cpu``, ``cuda``, or None for the usual family, drawn on the CPU.

        Example:
            >>> w = {"w": torch.ones(3)}
            >>> usual, other = Profile.load("gaussian"), Profile.load("gaussian").on_device("cpu")
            >>> usual.digest == other.digest
            False
            >>> bool((usual.chip(w, seed=0, index=0)["w"] == other.chip(w, seed=0, index=0)["w"]).any())
            False
        """
        return replace(self, drawn_on=kind)

    def scaled(self, severity: float) -> Profile:
        """The same device at ``severity`` times its noise: 1 is the device, 0 no noise, bit for bit.

        Raises:
            SettingsError: The severity is negative or not finite.
        """
        return replace(self, severity=self.severity * _checked(severity))

    def perturb(
        self,
        weights: Mapping[str, AnalogWeightLike] | Mapping[str, Tensor],
        *,
        seed: int,
        path: tuple[str | int, ...],
        at_s: float | None = None,
        severity: float = 1.0,
    ) -> dict[str, Tensor]:
        """Draw noisy weights: THE noise function of training and validation.

        Each stage of each tensor draws from ``generator(seed, *path, stage, key)``, so tensors, stages and paths
        never shift one another. The gradient flows straight through to the weights; the noise's scale is a constant
        for it. With the knob ``gradient = "own"``, noise that follows each weight's own size, w' = w (1 + ε), passes
        the factor 1 + ε on instead.

        Args:
            weights: By key: uses on a crossbar, or plain tensors [out, in, ...].
            seed: Root seed of the streams.
            path: Names that tell this draw from all others.
            at_s: Seconds since programming; None is the first valid time.
            severity: Multiplies the profile's own severity.

        Returns:
            By key, tensors of the same shape, dtype and device.

        Raises:
            ProfileError: The time is outside the valid times.
            SettingsError: The severity is negative.
        """
        time = self.check_time(at_s)
        strength = self.severity * _checked(severity)
        device = self.drawn_on or "cpu"
        path = path if self.drawn_on is None else ("device", device, *path)
        assembled = self._of_chip(seed, path) if strength else self._assembled
        noisy: dict[str, Tensor] = {}
        for key, use in weights.items():
            tensor, place = (use, None) if isinstance(use, Tensor) else (use.tensor, use)
            if strength == 0:
                noisy[key] = tensor.clone()
                continue
            with torch.no_grad():
                moved = tensor.detach() if self.drawn_on is None else tensor.detach().to(device)
                drawn = assembled.draw(moved, place, Draw(seed, path, key, time, strength, device)).to(tensor.device)
            passes = tensor.requires_grad and torch.is_grad_enabled()
            noisy[key] = _Noisy.apply(tensor, drawn, self._own_gradient) if passes else drawn
        return noisy

    def chip(
        self,
        weights: Mapping[str, AnalogWeightLike] | Mapping[str, Tensor],
        *,
        seed: int,
        index: int,
        at_s: float | None = None,
    ) -> dict[str, Tensor]:
        """Virtual chip ``index`` of the run with this seed: `perturb` on the path ("chip", index), without gradient."""
        with torch.no_grad():
            return self.perturb(weights, seed=seed, path=("chip", index), at_s=at_s)

    def __hash__(self) -> int:
        return hash((self.name, self.digest))

    def __str__(self) -> str:
        knobs = self.definition.all_knobs()
        parameters = self.parameters.items()
        return join_text(
            self.name, {key: value for key, value in parameters if key in knobs and value != knobs[key].default}
        )

    @property
    def circuit(self) -> Circuit:
        """The mapping and the laws with their values; distributions at their medians."""
        return self._assembled.circuit

    @cached_property
    def _assembled(self) -> Assembled:
        return assemble(self.definition, self._middle(), where=self.name)

    def _middle(self) -> dict[str, KnobValue]:
        return {key: value.centre if isinstance(value, Distribution) else value for key, value in self.knobs.items()}

    def _of_chip(self, seed: int, path: tuple[str | int, ...]) -> Assembled:
        """The circuit of one chip: knobs that are distributions are drawn for it."""
        drawn = {
            key: self.definition.all_knobs()[key].clamp(value.draw(numpy_generator(seed, *path, "parameter", key)))
            for key, value in self.knobs.items()
            if isinstance(value, Distribution)
        }
        return assemble(self.definition, {**self.knobs, **drawn}, where=self.name) if drawn else self._assembled


class _Noisy(torch.autograd.Function):
    """The noisy value forward; backward the identity, or the factor w'/w of noise that follows the weight's size."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, noisy: Tensor, own: bool) -> Tensor:
        # With the context: a separate setup_context has torch read this signature anew at every call, which costs
        # as much as drawing a small tensor.
        ctx.own = own
        if own:
            ctx.save_for_backward(torch.where(weight == 0, 1.0, noisy / weight))
        return noisy.view_as(noisy)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0] * ctx.saved_tensors[0] if ctx.own else grads[0], None, None


def _checked(severity: float) -> float:
    if not (math.isfinite(severity) and severity >= 0):
        raise SettingsError(
            f"a severity of {severity} is not possible", fix="1 is the device, 0 is no noise; it must be >= 0."
        )
    return float(severity)
