"""Write the images of digits that harden ships: 8x8, grey, from scikit-learn's copy of the UCI data set.

python models/digits_data.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

FOLDER = Path(__file__).resolve().parents[1] / "harden" / "data" / "embedded"
TRAINING = 1200  # the rest is the test set; the file keeps writers together, so the split is nearly by writer


def main() -> None:
    digits = load_digits()
    x, y = digits.images.astype(np.uint8), digits.target.astype(np.uint8)
    for name, part in (("train", slice(TRAINING)), ("test", slice(TRAINING, None))):
        np.savez_compressed(FOLDER / f"{name}.npz", x=x[part], y=y[part])


if __name__ == "__main__":
    main()
