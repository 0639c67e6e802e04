"""Write aihwkit.json: what aihwkit 1.1.0 makes of a few conductances when every random number is the same constant.

Run it where aihwkit is installed (it is no dependency of harden): ``python make_aihwkit.py > aihwkit.json``.
"""

from __future__ import annotations

import importlib.metadata
import json
from unittest import mock

import torch

SHARES = [0.0, 0.004, 0.05, 0.15, 0.3, 0.5, 0.75, 1.0]


def rows(module, model, targets: list[float], times: list[float], *, aged: bool = True) -> list[dict]:
    result = []
    for normal in (-0.5, 1.0):
        with mock.patch.object(module, "randn_like", lambda x, n=normal: torch.full_like(x, n)):
            target = torch.tensor(targets, dtype=torch.float64)
            programmed = model.apply_programming_noise_to_conductance(target.clone())
            entry = {"normal": normal, "target_us": targets, "programmed_us": programmed.tolist(), "read_us": {}}
            if aged:
                exponent = model.generate_drift_coefficients(target.clone())
                for time in times:
                    read = model.apply_drift_noise_to_conductance(programmed.clone(), exponent.clone(), time)
                    entry["read_us"][f"{time:g}"] = read.tolist()
            result.append(entry)
    return result


def at(g_max: float, g_min: float = 0.0) -> list[float]:
    return [round(g_min + share * (g_max - g_min), 6) for share in SHARES]


def main() -> None:
    # Here, not above: the test run imports every file, and aihwkit is not there.
    from aihwkit.inference.converter.conductance import SinglePairConductanceConverter
    from aihwkit.inference.noise import hermes, pcm, reram

    wan = reram.ReRamWan2022NoiseModel
    days = [1.0, 86400.0, 172800.0]
    ages = [0.0, 3600.0, 2592000.0]
    document = {
        "source": f"aihwkit {importlib.metadata.version('aihwkit')}",
        "pcm": rows(pcm, pcm.PCMLikeNoiseModel(), at(25.0), ages),
        "pcm_hermes:devices=1": rows(hermes, hermes.HermesNoiseModel(num_devices=1), at(10.35), ages),
        "pcm_hermes:devices=2": rows(hermes, hermes.HermesNoiseModel(num_devices=2), at(20.7), ages),
        "rram_wan": rows(reram, wan(g_max=40.0), at(40.0), days),
        "rram_wan_at_aihwkits_default_g_max": rows(
            reram, wan(g_converter=SinglePairConductanceConverter()), at(25.0), days
        ),
        "rram_cmo:acceptance=0.2%": rows(
            reram, reram.ReRamCMONoiseModel(acceptance_range=0.2), at(88.199997, 9.0), [0.0, 1.0, 3600.0, 2592000.0]
        ),
        "rram_cmo:acceptance=2%": rows(
            reram, reram.ReRamCMONoiseModel(acceptance_range=2), at(88.199997, 9.0), [0.0, 1.0, 3600.0, 2592000.0]
        ),
        "rram_cmo_at_aihwkits_default_acceptance": rows(reram, reram.ReRamCMONoiseModel(), at(88.199997, 9.0), [0.0]),
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in document.items()]
    print("{\n" + ",\n".join(lines) + "\n}")


if __name__ == "__main__":
    main()
