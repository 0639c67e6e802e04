"""Data that exceeds memory: decoded pictures past a gigabyte live in a file, and the process stays small."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

COUNT, SIZE = 12_000, 224
DECODED = COUNT * SIZE * SIZE * 3  # bytes

MEASURED = """
import json, sys, threading, time
from pathlib import Path
from harden.data import Dataset, Preprocess

def held():  # bytes that no file backs: what the system cannot take back
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

before, peak, running = held(), 0, True
def watch():
    global peak
    while running:
        peak = max(peak, held())
        time.sleep(0.02)
thread = threading.Thread(target=watch)
thread.start()
data = Dataset.open(sys.argv[1], Preprocess((0.5,) * 3, (0.25,) * 3))
total = 0.0
for at in range(0, len(data), 64):
    total += float(data.inputs(slice(at, at + 64)).mean())
running = False
thread.join()
print(json.dumps({"examples": len(data), "held": peak - before, "mean": total}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of memory")
def test_pictures_past_a_gigabyte_are_not_held_in_memory(tmp_path):
    pixels = np.arange(SIZE * SIZE * 3, dtype=np.uint32).reshape(SIZE, SIZE, 3)
    pictures = []
    for shade in range(4):
        file = io.BytesIO()
        Image.fromarray((pixels // 600 + shade).astype(np.uint8)).save(file, "JPEG")
        pictures.append({"bytes": file.getvalue(), "path": None})
    labels = np.arange(COUNT) % 4
    table = pa.table({"image": [pictures[i] for i in labels], "label": labels})
    pq.write_table(table, tmp_path / "large.parquet")
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path / "large.parquet")], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["examples"] == COUNT
    assert DECODED > 1.5 * 2**30
    assert found["held"] < DECODED / 4, f"{found['held'] / 2**20:.0f} MiB held for {DECODED / 2**20:.0f} MiB of pixels"
