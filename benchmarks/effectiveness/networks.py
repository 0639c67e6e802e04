"""The networks of the benchmark, as random ONNX graphs: what a base recipe then trains.

Shapes: [B, C, H, W] images, [B, C, T] signals; all give logits [B, classes].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from harden.graph.export import from_torch
from harden.graph.file import Model
from harden.streams import generator


class CrossbarBias(nn.Module):
    """A layer whose biases sit on the crossbar too, as one more input that is always 1 (as in Büchel et al.)."""

    def __init__(self, layer: nn.Module, outputs: int) -> None:
        super().__init__()
        self.layer = layer
        self.bias = nn.Linear(1, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer(x)
        one = x.flatten(1)[:, :1] * 0 + 1
        bias = self.bias(one)
        return out + (bias[:, :, None, None] if out.dim() == 4 else bias)


class FashionCNN(nn.Module):
    """The F-MNIST network of Büchel et al. (ICLR 2022): every parameter is on a crossbar, no learnable batch norm."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.conv1 = CrossbarBias(nn.Conv2d(1, width, 4, bias=False), width)
        self.conv2 = CrossbarBias(nn.Conv2d(width, width, 4, bias=False), width)
        self.fc1 = CrossbarBias(nn.Linear(25 * width, 256, bias=False), 256)
        self.fc2 = CrossbarBias(nn.Linear(256, 64, bias=False), 64)
        self.norm = nn.BatchNorm1d(64, affine=False)
        self.fc3 = CrossbarBias(nn.Linear(64, 10, bias=False), 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(functional.max_pool2d(self.conv1(functional.pad(x, (1, 2, 1, 2))), 2))
        x = functional.relu(functional.max_pool2d(self.conv2(x), 2)).flatten(1)
        x = functional.relu(self.fc1(x))
        return self.fc3(self.norm(functional.relu(self.fc2(x))))


class VGG8(nn.Module):
    """VGG-8 of the negative-feedback paper (widths 64, 128, 256, 512; fc 1024), its width divided by ``narrower``."""

    def __init__(self, channels: int = 1, narrower: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for outputs, pools in ((64, False), (128, True), (256, False), (256, True), (512, False), (512, True)):
            outputs //= narrower
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if pools else []
            inputs = outputs
        self.features = nn.Sequential(*layers)
        hidden = 1024 // narrower
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(16 * inputs, hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class ECGNet(nn.Module):
    """A small 1-D network of ours for single beats."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 1
        for outputs, kernel in ((16, 7), (32, 5), (64, 5)):
            layers += [
                nn.Conv1d(inputs, outputs, kernel, 2, kernel // 2, bias=False),
                nn.BatchNorm1d(outputs),
                nn.ReLU(),
            ]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(inputs, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).mean(-1))


class MobileBlock(nn.Module):
    """Inverted residual: 1x1 up, 3x3 depthwise, 1x1 down, batch norm behind each (Sandler et al., CVPR 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int = 4) -> None:
        super().__init__()
        inner = inputs * expand
        self.inner = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x) if self.residual else self.inner(x)


class MobileNet(nn.Module):
    """A MobileNet-shaped network for 32x32 colour images."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        shapes = [(16, 24, 1), (24, 24, 1), (24, 40, 2), (40, 40, 1), (40, 64, 2), (64, 64, 1)]
        self.blocks = nn.Sequential(*(MobileBlock(*shape) for shape in shapes))
        self.last = nn.Sequential(nn.Conv2d(64, 160, 1, bias=False), nn.BatchNorm2d(160), nn.ReLU6())
        self.fc = nn.Linear(160, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.last(self.blocks(self.stem(x))).mean((2, 3)))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        tokens, width = x.shape[1], x.shape[2]
        split = self.qkv(self.norm1(x)).reshape(-1, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = split[0], split[1], split[2]
        attention = (query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5).softmax(-1)
        x = x + self.out((attention @ value).transpose(1, 2).reshape(-1, tokens, width))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """A transformer-shaped network for 32x32 colour images: a convolutional stem, no batch norm anywhere."""

    def __init__(self, width: int = 64, depth: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.stem1, self.stem2 = nn.Conv2d(3, 32, 3, 2, 1), nn.Conv2d(32, width, 3, 2, 1)
        self.position = nn.Parameter(torch.zeros(1, 64, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm, self.fc = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem2(functional.relu(self.stem1(x))).flatten(2).transpose(1, 2)
        return self.fc(self.norm(self.blocks(x + self.position)).mean(1))


NETWORKS = {
    "fashion_cnn": (FashionCNN, (1, 28, 28)),
    "vgg8": (VGG8, (1, 32, 32)),
    "vgg8_eighth": (lambda: VGG8(narrower=8), (1, 32, 32)),
    "ecg": (ECGNet, (1, 128)),
    "mobilenet": (MobileNet, (3, 32, 32)),
    "transformer": (Transformer, (3, 32, 32)),
}


def build(name: str, seed: int) -> Model:
    """A network with random weights: He-normal convolutions, torch's uniform bound for linear layers, zero biases."""
    make, shape = NETWORKS[name]
    module = make()
    with torch.no_grad():
        for layer, part in module.named_modules():
            weight, bias = getattr(part, "weight", None), getattr(part, "bias", None)
            if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Linear)) and weight is not None:
                draw = generator(seed, "init", layer)
                fan_in = weight[0].numel()
                if layer.endswith(".bias"):
                    weight.zero_()
                elif isinstance(part, nn.Linear):
                    weight.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=draw)
                else:
                    weight.normal_(0, (2 / fan_in) ** 0.5, generator=draw)
                if isinstance(bias, nn.Parameter):
                    bias.zero_()
        position = getattr(module, "position", None)
        if position is not None:
            position.normal_(0, 0.02, generator=generator(seed, "init", "position"))
    return from_torch(module, torch.zeros(2, *shape))
