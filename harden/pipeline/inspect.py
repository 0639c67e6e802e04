"""Can this model be hardened, and which of its weights are noisy?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from harden.errors import ModelError, SettingsError, VerificationError
from harden.graph.file import Model
from harden.graph.inspection import Obstacle, WeightRow, exact_products, unsupported, weights_table
from harden.graph.products import Exact
from harden.graph.tensors import TensorSpec
from harden.graph.unsupported import described
from harden.pipeline.models import open_model
from harden.runtime.canary import canary
from harden.runtime.examples import find_inputs
from harden.runtime.parity import Parity, parity
from harden.tasks import heads


@dataclass(frozen=True)
class Inspection:
    """What ``harden inspect`` finds of a model.

    Attributes:
        model: The model.
        random_weights: Whether nobody gave its weights.
        obstacles: Every reason why it cannot be hardened.
        unsupported: The operators among them.
        weights: Every tensor of real numbers.
        exact: Products with a stored operand that is on no crossbar.
        inert: Keys of tensors on crossbars that move no output on the inputs tried.
        parity: How far torch and ONNX Runtime are apart; None where it does not run in torch.
    """

    model: Model
    random_weights: bool
    obstacles: list[str]
    unsupported: list[Obstacle]
    weights: list[WeightRow]
    exact: list[Exact]
    inert: list[str]
    parity: Parity | None

    @property
    def trainable(self) -> bool:
        """Whether the model can be hardened."""
        return not self.obstacles

    @property
    def meanings(self) -> dict[str, str]:
        """What the outputs that say something of an example hold, by name: scores, probabilities, ..."""
        return {head.name: head.meaning.replace("_", "-") for head in heads(self.model)}

    @property
    def document(self) -> dict[str, object]:
        """For JSON: a ``harden.inspect/1`` document."""
        model, parity = self.model, self.parity
        return {
            "schema": "harden.inspect/1",
            "model": {
                "path": model.source,
                "sha256": model.sha256,
                "opset": model.opset,
                "producer": model.producer,
                "inputs": [_described(spec) for spec in model.inputs],
                "outputs": [{**_described(spec), "meaning": self.meanings.get(spec.name)} for spec in model.outputs],
                "batch_norm": model.batch_norm,
                "random_weights": self.random_weights,
            },
            "trainable": self.trainable,
            "obstacles": self.obstacles,
            "unsupported": self.unsupported,
            "weights": self.weights,
            "exact_products": [asdict(item) for item in self.exact],
            "inert": self.inert,
            "parity": parity
            and {
                "inputs": parity.inputs,
                "max_abs_error": parity.max_abs_error,
                "max_rel_error": parity.max_rel_error,
                "passed": parity.passed,
            },
        }


def inspect(
    source: str,
    *,
    weights: str | None = None,
    input_size: tuple[int, int] | None = None,
    inputs: Sequence[str] = (),
    digital: Sequence[str] = (),
) -> Inspection:
    """Say whether a model can be hardened, and which of its weights are noisy.

    Args:
        source: An ONNX file or ``timm:NAME``; a timm model without ``weights`` has random ones, which is said.
        weights: A safetensors checkpoint for ``timm:NAME``.
        input_size: Height and width of the images of ``timm:NAME``.
        inputs: Input shapes, ``name=1x3x224x224``.
        digital: Globs of tensors or nodes kept off the crossbars.

    Raises:
        ModelError: The file cannot be read at all.
        SettingsError: An input shape cannot be read or names no input.
    """
    model = open_model(source, weights=weights, allow_random=True, input_size=input_size)
    shapes = _shapes(model, inputs)
    missing = unsupported(model)
    obstacles = [f"{described(row)}: {row['reason']}" for row in missing]
    table: list[WeightRow] = []
    exact: list[Exact] = []
    inert: list[str] = []
    checked = None
    if not missing:
        try:
            table, exact = weights_table(model, digital=digital), exact_products(model, digital)
            examples = find_inputs(model, shapes)
            checked = parity(model, examples)
            if checked.passed:  # what harden eval and harden fit check before they compute anything
                inert = list(canary(model, examples, digital=tuple(digital)).inert)
            else:
                obstacles.append(f"torch and ONNX Runtime disagree by {checked.max_abs_error:.2e}")
        except (ModelError, VerificationError) as error:
            obstacles.append(str(error))
    random_weights = source.startswith("timm:") and weights is None
    return Inspection(model, random_weights, obstacles, missing, table, exact, inert, checked)


def _described(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "shape": list(spec.shape), "dtype": str(spec.dtype)}


def _shapes(model: Model, texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    names = [spec.name for spec in model.inputs]
    shapes = {}
    for text in texts:
        name, _, shape = text.rpartition("=")
        try:
            shapes[name] = tuple(int(size) for size in shape.split("x"))
        except ValueError:
            raise SettingsError(f"--input {text}: write name=1x3x224x224") from None
        if name not in names:
            raise SettingsError(f"--input {text}: the model has no input '{name}'", fix=f"Inputs: {', '.join(names)}")
    return shapes
