"""Fits ``rram_stanford_c`` to real cells, and tests such fits on cells that they did not see.

``python benchmarks/stanford_devices.py FOLDER`` reads the two relaxation files of FOLDER (../shared/data/devices),
writes the device to harden/noise/devices/ and prints the tables of docs/devices/stanford.md. For the tables a profile
is fitted to one half of the cells (a stream decides) and held against the other: the robust standard deviation, the
mean and the share beyond four standard deviations for each time, over all levels, and a two-sample Kolmogorov-Smirnov
test of as many drawn as measured cells.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from harden.noise.calibrate import calibrate
from harden.noise.circuit import Draw
from harden.noise.profile import Profile
from harden.noise.shapes import robust_scale
from harden.streams import numpy_generator

ROOT = Path(__file__).resolve().parents[1]
FILES = {"b": "stanford_techB_relaxation_10kcycles.csv", "c": "stanford_techC_relaxation.csv"}
CITATION = (
    "Akash Levy, RRAM-Relaxation-Master-Model (github.com/akashlevy, commit ca0cfff), MIT; "
    "fitted by benchmarks/stanford_devices.py"
)
SUMMARY = "HfO2 RRAM, Stanford technology C: 16,000 cells, written and verified, over a day"
NOTICE = """\
# Fitted to data under the MIT License:
#
# Copyright (c) 2021 Akash Levy
#
# Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
# documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
# rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
# persons to whom the Software is furnished to do so, subject to the following conditions:
#
# The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
# Software.
#
# THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
# WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
# COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
# OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

"""


def device(letter: str, folder: Path) -> None:
    """Fit a device to all cells, and write it."""
    found = calibrate(folder / FILES[letter], name=f"rram_stanford_{letter}", citation=CITATION)
    first, _, rest = found.toml.partition("\n")
    assert first.startswith("summary")
    path = ROOT / "harden" / "noise" / "devices" / f"rram_stanford_{letter}.toml"
    path.write_text(f'{NOTICE}summary = "{SUMMARY}"\n{rest}', encoding="utf-8")
    print(path, *(f"{m['model']} {m['held_out']:.4f}" for m in found.fit["compared"]["change in time"]), sep="\n  ")


def held_out(letter: str, folder: Path) -> str:
    """The table of a device that was fitted to half of the cells, against the other half."""
    lines = (folder / FILES[letter]).read_text(encoding="utf-8").splitlines()
    cell = np.array([int(line.rpartition(",")[2]) for line in lines[1:]])
    names = np.unique(cell)
    fitted = names[numpy_generator(0, "stanford", letter).random(len(names)) < 0.5]
    used = np.isin(cell, fitted)
    with tempfile.TemporaryDirectory() as scratch:
        half = Path(scratch) / "half.csv"
        half.write_text("\n".join([lines[0], *(line for line, use in zip(lines[1:], used, strict=True) if use)]))
        toml = Path(scratch) / "half.toml"
        toml.write_text(calibrate(half).toml, encoding="utf-8")
        profile = Profile.load(toml)
    rows = np.array([[float(part) for part in line.split(",")] for line in lines[1:]])[~used]
    return "\n".join(_row(profile, rows[rows[:, 2] == time], float(time)) for time in np.unique(rows[:, 2]))


def _row(profile: Profile, rows: np.ndarray, time: float) -> str:
    target, deviation = rows[:, 0], rows[:, 1] - rows[:, 0]
    many = np.repeat(target, 20)
    drawn = _drawn(profile, many, time, 0)
    sigma, off, far, far_drawn = [], [], 0.0, 0.0
    for level in np.unique(target):
        here, there = deviation[target == level], drawn[many == level]
        sigma.append(robust_scale(here - np.median(here)))
        off.append(robust_scale(there - np.median(there)) / sigma[-1] - 1)
        far += float((np.abs(here - here.mean()) > 4 * here.std()).sum())
        for part in np.array_split(there, 20):
            far_drawn += float((np.abs(part - part.mean()) > 4 * part.std()).sum()) / 20
    test = stats.ks_2samp(deviation, _drawn(profile, target, time, 1))
    wide = np.mean([len(deviation[target == level]) for level in np.unique(target)])
    cells = [
        f"{time:g} s",
        f"{np.mean(sigma):.2f}",
        f"{np.mean(off):+.1%}",
        f"{np.median(np.abs(off)):.1%} ({1.17 / np.sqrt(wide):.1%})",
        f"{deviation.mean():+.2f} / {drawn.mean():+.2f}",
        f"{far / len(target):.2%} / {far_drawn / len(target):.2%}",
        f"{test.statistic:.3f} ({test.pvalue:.2g})",
    ]
    return f"| {' | '.join(cells)} |"


def _drawn(profile: Profile, target: np.ndarray, time: float, seed: int) -> np.ndarray:
    grid = torch.from_numpy(target.copy())
    return profile.circuit.read_devices(grid, Draw(seed, ("stanford",), "cells", time, 1.0)).numpy() - target


def main() -> None:
    folder = Path(sys.argv[1])
    device("c", folder)
    for letter in FILES:
        print(held_out(letter, folder), flush=True)


if __name__ == "__main__":
    main()
