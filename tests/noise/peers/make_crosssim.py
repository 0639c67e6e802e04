"""Write crosssim.json from the formulas that CrossSim 3.2.0 publishes for its devices, in plain double precision.

CrossSim itself is not run: this is an independent evaluation of its documented formulas. Its RRAM (Wan) fit differs
from the one harden ships, which is aihwkit's; both describe the same figure of the paper.

``python make_crosssim.py > crosssim.json``
"""

from __future__ import annotations

import json
import math

JOSHI = (-0.00178767, 0.07585724, 0.28638599)
MILO = (-0.009107, 4.782321)
WAN_ONE_SECOND = (1.536e-4, -1.167e-2, 2.374e-1, 1.053)
SONOS_SPREAD = {0: (19.88665, 176.3115), 1: (25.59102, 186.85544), 5: (34.57909, 207.34309)}
SONOS_READ = (12.58037, 215.36557)
# fmt: off
SONOS_SHIFT = {
    0: [0.0],
    1: [1.72684e-01, 5.72552e-02, -6.85715e-04, 3.50271e-06, -9.37682e-09, 1.40575e-11, -1.19803e-14, 5.41293e-18,
        -8.85448e-22, -1.66869e-25, 5.95180e-29],
    5: [3.19927e-01, 1.06596e-01, -1.04054e-03, 4.50290e-06, -1.10352e-08, 1.56477e-11, -1.27592e-14, 5.45513e-18,
        -7.26841e-22, -2.43893e-25, 7.14608e-29],
}
# fmt: on


def falling(coefficients: tuple[float, ...], x: float) -> float:
    return max(sum(c * x ** (len(coefficients) - 1 - i) for i, c in enumerate(coefficients)), 0.0)


def saturating(numbers: tuple[float, float], x: float) -> float:
    return max(numbers[0] - numbers[0] * math.exp(-x / numbers[1]), 0.0)


def main() -> None:
    currents = [0.0, 50.0, 250.0, 900.0, 1800.0]
    sonos = {}
    for day, coefficients in SONOS_SHIFT.items():
        shifted = [x + math.fsum(c * x**i for i, c in enumerate(coefficients)) for x in currents]
        sonos[str(86400 * day)] = {"mean_na": shifted, "sigma_na": [saturating(SONOS_SPREAD[day], x) for x in shifted]}
    joshi, milo, wan = [0.25, 6.0, 12.5, 25.0], [50.0, 100.0, 225.0], [4.0, 20.0, 39.26]
    document = {
        "source": "formulas of CrossSim 3.2.0, evaluated independently",
        "pcm_joshi": {"target_us": joshi, "sigma_us": [falling(JOSHI, x) for x in joshi]},
        "rram_milo": {"target_us": milo, "sigma_us": [falling(MILO, x) for x in milo]},
        "rram_wan_crosssim": {"target_us": wan, "sigma_us": [falling(WAN_ONE_SECOND, x) for x in wan]},
        "sonos": {"target_na": currents, "at_s": sonos},
        "sonos_read": {"target_na": currents, "sigma_na": [saturating(SONOS_READ, x) for x in currents]},
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in document.items()]
    print("{\n" + ",\n".join(lines) + "\n}")


if __name__ == "__main__":
    main()
