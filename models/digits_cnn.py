"""Train the network of ``harden demo``: a small residual network for 8x8 digits, its batch norms kept.

It is trained as anyone would train it, without a thought of noise: SGD, one-cycle schedule, weight decay, shifts by a
pixel. Run again on the same machine and versions, it writes the same file.

python models/digits_data.py && python models/digits_cnn.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harden.data import METADATA_KEY, Dataset, Preprocess, augment
from harden.graph.export import from_torch
from harden.streams import generator, numpy_generator

FOLDER = Path(__file__).resolve().parents[1] / "harden" / "data" / "embedded"
SEED = 0
EPOCHS, BATCH, RATE, MOMENTUM, DECAY, WARMUP = 60, 64, 0.1, 0.9, 5e-4, 0.1
WIDTH = 16
# The images hold 0..16 ink counts; mean and std are those of the 1,200 training images.
PREPROCESS = Preprocess(mean=(0.306,), std=(0.375,), input_size=(8, 8), scale=16)


class Block(nn.Module):
    """Two convolutions and the way around them, as in He et al. (CVPR 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class DigitsCNN(nn.Module):
    """[B, 1, 8, 8] to the logits of ten digits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, WIDTH, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(WIDTH)
        self.block1 = Block(WIDTH, WIDTH, 1)
        self.block2 = Block(WIDTH, 2 * WIDTH, 2)
        self.block3 = Block(2 * WIDTH, 4 * WIDTH, 2)
        self.fc = nn.Linear(4 * WIDTH, 10)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.kaiming_normal_(parameter, nonlinearity="relu", generator=generator(SEED, "init", name))
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn(self.conv(x)))
        x = self.block3(self.block2(self.block1(x)))
        return self.fc(x.mean((2, 3)))


def train(data: Dataset) -> DigitsCNN:
    net = DigitsCNN()
    per_epoch = len(data) // BATCH
    optimizer = torch.optim.SGD(net.parameters(), RATE, MOMENTUM, weight_decay=DECAY, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=EPOCHS * per_epoch, pct_start=WARMUP, cycle_momentum=False
    )
    for epoch in range(EPOCHS):
        order = numpy_generator(SEED, "order", epoch).permutation(len(data))
        shifts = numpy_generator(SEED, "shift", epoch)
        for index in order[: per_epoch * BATCH].reshape(per_epoch, BATCH):
            shifted = augment(data.raw(index), shifts, pad=1, flip=False)
            loss = functional.cross_entropy(net(torch.from_numpy(data.normalise(shifted))), labels(data, index))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def labels(data: Dataset, index: np.ndarray | slice) -> Tensor:
    assert data.labels is not None
    return torch.from_numpy(data.labels[index])


def accuracy(net: DigitsCNN, data: Dataset) -> float:
    with torch.inference_mode():
        logits = net(torch.from_numpy(data.inputs(slice(None))))
    return float((logits.argmax(dim=1) == labels(data, slice(None))).double().mean())


def main() -> None:
    torch.set_num_threads(1)  # the number of threads decides the last bits
    train_data, test_data = (Dataset.open(FOLDER / f"{name}.npz", PREPROCESS) for name in ("train", "test"))
    raw = train_data.raw(slice(None)) / PREPROCESS.scale
    assert abs(raw.mean() - PREPROCESS.mean[0]) < 1e-3
    assert abs(raw.std() - PREPROCESS.std[0]) < 1e-3
    net = train(train_data)
    print(f"accuracy: {accuracy(net, train_data):.4f} on training, {accuracy(net, test_data):.4f} on test images")
    model = from_torch(net, torch.zeros(2, 1, 8, 8), input_names=["image"])
    model.with_metadata({METADATA_KEY: PREPROCESS.to_json()}).save(FOLDER / "digits_cnn.onnx")


if __name__ == "__main__":
    main()
