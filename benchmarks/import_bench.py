"""Which timm architectures import: one a family, both of torch's exporters, two opsets each, five checks.

The checks: the file imports; its outputs agree with ONNX Runtime's; at least 99% of its floating-point numbers are
trainable (statistics of batch norms aside); writing untouched weights back gives the same bytes; one optimisation step
changes exactly the parameters. Weights are random and nowhere trivial. Results are appended to a file as they come, so
an interrupted run goes on where it stopped.

    python benchmarks/import_bench.py [--out FILE] [--only NAME ...] [--exporters dynamo] [--page docs/import.md]
"""

from __future__ import annotations

import argparse
import io
import logging
import math
import re
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import timm
import torch

from harden.graph.file import Model
from harden.graph.inspection import weights_table
from harden.store import append_line, read_lines

SMALL_VIT = {"depth": 2, "embed_dim": 96, "num_heads": 3}
# One architecture of each family, small, and shrunk where the family has no small member.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "resnet18": {}, "mobilenetv3_small_100": {}, "tf_efficientnet_lite0": {}, "vit_tiny_patch16_224": {},
    "mobilenetv2_035": {}, "efficientnet_b0": {}, "resnet10t": {}, "seresnet18": {"_": "legacy_seresnet18"},
    "regnetx_002": {}, "regnety_002": {}, "resnetv2_18": {}, "res2net50_14w_8s": {}, "resnest14d": {},
    "skresnet18": {}, "selecsls42": {}, "densenet121": {"growth_rate": 8, "block_config": (2, 2, 2, 2)},
    "dla46x_c": {}, "dpn48b": {}, "hrnet_w18_small": {}, "vgg11_bn": {}, "xception41": {}, "inception_v3": {},
    "inception_next_atto": {}, "convnext_atto": {}, "convnextv2_atto": {}, "convmixer_768_32": {"depth": 2, "dim": 64},
    "mixer_s32_224": {"num_blocks": 2, "embed_dim": 96}, "gmlp_ti16_224": {"num_blocks": 2},
    "resmlp_12_224": {"num_blocks": 2, "embed_dim": 96}, "deit_tiny_patch16_224": {"depth": 2},
    "deit3_small_patch16_224": SMALL_VIT, "beit_base_patch16_224": SMALL_VIT, "cait_xxs24_224": {"depth": 2},
    "swin_tiny_patch4_window7_224": {"depths": (1, 1), "embed_dim": 48, "num_heads": (3, 6)},
    "swinv2_tiny_window8_256": {"depths": (1, 1), "embed_dim": 48, "num_heads": (3, 6)}, "coat_tiny": {},
    "convit_tiny": {"depth": 3}, "crossvit_tiny_240": {}, "eva02_tiny_patch14_224": {"depth": 2},
    "ghostnet_050": {}, "ghostnetv2_100": {}, "repvgg_a0": {}, "mobileone_s0": {}, "fastvit_t8": {},
    "edgenext_xx_small": {}, "efficientformer_l1": {}, "efficientformerv2_s0": {}, "efficientvit_b0": {},
    "efficientvit_m0": {}, "focalnet_tiny_srf": {"depths": (1, 1), "embed_dim": 48}, "hgnetv2_b0": {},
    "lcnet_035": {}, "levit_128s": {}, "maxvit_rmlp_pico_rw_256": {"depths": (1, 1), "embed_dim": (32, 64)},
    "coatnet_pico_rw_224": {}, "poolformer_s12": {}, "mobilevit_xxs": {}, "mobilevitv2_050": {}, "mvitv2_tiny": {},
    "nf_regnet_b0": {}, "nf_resnet26": {}, "pit_ti_224": {}, "pvt_v2_b0": {}, "repghostnet_050": {}, "repvit_m0_9": {},
    "rexnet_100": {}, "starnet_s1": {}, "tiny_vit_5m_224": {}, "visformer_tiny": {},
    "volo_d1_224": {"layers": (1, 1, 1, 1)},
    "xcit_nano_12_p16_224": {"depth": 2}, "cspdarknet53": {}, "ese_vovnet19b_slim": {}, "gcvit_xxtiny": {},
    "davit_tiny": {"depths": (1, 1), "embed_dims": (48, 96), "num_heads": (3, 6)}, "twins_pcpvt_small": {},
    "mambaout_femto": {}, "botnet26t_256": {}, "fasternet_t0": {}, "shvit_s1": {},
}  # fmt: skip
EXPORTS = (("torchscript", 17), ("torchscript", 20), ("dynamo", 18), ("dynamo", 20))
CHECKS = ("imported", "parity", "trainable", "identical", "step")
SECONDS = 420


def network(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    options = {key: value for key, value in ARCHITECTURES[name].items() if key != "_"}
    name = ARCHITECTURES[name].get("_", name)
    stream = torch.Generator().manual_seed(0)
    try:
        module = timm.create_model(name, pretrained=False, num_classes=20, **options).eval()
    except TypeError:  # some entry points fix their own sizes
        module = timm.create_model(name, pretrained=False, num_classes=20).eval()
    with torch.no_grad():
        for key, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.empty_like(tensor).normal_(generator=stream)
                tensor.add_(0.05 * noise.abs() if key.endswith("var") else 0.02 * noise)
    _, height, width = module.pretrained_cfg["input_size"]
    return module, torch.empty(2, 3, height, width).normal_(generator=stream)


def export(module: torch.nn.Module, example: torch.Tensor, exporter: str, opset: int, cache: dict[str, Any]) -> bytes:
    if exporter == "torchscript":
        buffer = io.BytesIO()
        torch.onnx.export(module, (example,), buffer, dynamo=False, opset_version=opset, input_names=["input"])
        return buffer.getvalue()
    if "program" not in cache:
        cache["program"] = torch.export.export(module, (example,))
    program = torch.onnx.export(cache["program"], (), dynamo=True, opset_version=opset, verbose=False)
    return program.model_proto.SerializeToString()


def check(data: bytes, module: torch.nn.Module, example: torch.Tensor) -> dict[str, Any]:
    """The five checks on one exported file."""
    result: dict[str, Any] = dict.fromkeys(CHECKS, False)
    start = time.perf_counter()
    model = Model.from_proto(onnx.load_from_string(data))
    interpreted = model.module()
    result.update(imported=True, seconds=round(time.perf_counter() - start, 3))
    theirs = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    expected = theirs.run(None, {theirs.get_inputs()[0].name: example.numpy()})[0]
    with torch.no_grad():
        ours = interpreted.eval()(example)
    ours = (ours[0] if isinstance(ours, tuple) else ours).numpy()
    error = np.abs(ours - expected)
    result["error"] = float(error.max() / max(np.abs(expected).max(), 1e-30))
    result["parity"] = bool((error <= 1e-4 * np.abs(expected).max() + 1e-3 * np.abs(expected)).all())
    rows = [row for row in weights_table(model) if "statistic" not in (row["digital_reason"] or "")]
    sizes = {row["name"]: (math.prod(row["shape"]), row["trainable"]) for row in rows}
    untrained = {name: size for name, (size, trained) in sizes.items() if not trained and size > 1}
    total = sum(size for size, _ in sizes.values())
    result["share"] = round(1 - sum(untrained.values()) / max(total, 1), 5)
    result["untrained"] = sorted(untrained)[:8]
    result["trainable"] = result["share"] >= 0.99
    untouched = model.with_weights(interpreted.export_weights()).serialize()
    result["identical"] = untouched == data
    result["step"] = _step(model, interpreted, example)
    return result


def _step(model: Model, interpreted: Any, example: torch.Tensor) -> bool:
    """Whether one step of gradient descent changes exactly the parameters that have gradients, and all of those."""
    interpreted.train()
    names = dict(interpreted.named_parameters())
    output = interpreted(example)
    output = output[0] if isinstance(output, tuple) else output
    (output - 1).square().mean().backward()
    reached = {name for name, p in names.items() if p.grad is not None and bool((p.grad != 0).any())}
    with torch.no_grad():
        for name in reached:
            names[name] -= names[name].grad / names[name].grad.abs().max() * 1e-2
    tuned = model.with_weights(interpreted.export_weights())
    before, after = model.tensors(), tuned.tensors()
    changed = {name for name in before if before[name].tobytes() != after[name].tobytes()}
    return changed == reached and len(reached) >= 0.95 * len(names)


@contextmanager
def limit(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def run(out: Path, names: list[str], exporters: list[str]) -> None:
    done = {(row["name"], row["exporter"], row["opset"]) for row in read_lines(out)} if out.exists() else set()
    for name in names:
        wanted = [pair for pair in EXPORTS if (name, *pair) not in done and pair[0] in exporters]
        if not wanted:
            continue
        cache: dict[str, Any] = {}
        for exporter, opset in wanted:
            row: dict[str, Any] = {"name": name, "exporter": exporter, "opset": opset}
            try:
                with limit(SECONDS), redirect_stdout(io.StringIO()):
                    module, example = network(name)
                    row["exported"] = False
                    data = export(module, example, exporter, opset, cache)
                    row["exported"] = True
                    row.update(check(data, module, example))
            except Exception as error:  # one architecture must not stop the others
                row["problem"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]
            append_line(out, row)


def table(out: Path) -> str:
    """The results as text: a line for each export that does not pass, and the counts."""
    rows = list(read_lines(out))
    exported = [row for row in rows if row.get("exported")]
    lines = []
    for row in rows:
        failed = [name for name in CHECKS if not row.get(name)] if row.get("exported") else ["not exported"]
        if failed:
            lines.append(
                f"{row['name']:32} {row['exporter']:12} {row['opset']}  {', '.join(failed)}  {row.get('problem', '')}"
            )
    for exporter, opset in EXPORTS:
        part = [row for row in exported if (row["exporter"], row["opset"]) == (exporter, opset)]
        counts = ", ".join(f"{name} {sum(bool(row.get(name)) for row in part)}" for name in CHECKS)
        lines.append(f"{exporter} opset {opset}: {len(part)} exported; {counts}")
    passed = sum(all(row.get(name) for name in CHECKS) for row in exported)
    names = {row["name"] for row in exported}
    share = passed / max(len(exported), 1)
    lines.append(f"{len(names)} architectures, {len(exported)} files: {passed} pass all five checks ({share:.1%})")
    return "\n".join(lines)


_COPIES = (
    "the exporter stores the weights twice, and the second copy feeds running statistics that nothing reads; "
    "those that the layers multiply with are trainable, all of them"
)
REASONS = {"nf_regnet_b0": _COPIES, "nf_resnet26": _COPIES}


def page(out: Path) -> str:
    """The results as the page of the documentation: counts for each exporter and opset, and every failure by name."""
    rows = list(read_lines(out))
    exported = [row for row in rows if row.get("exported")]
    passed = sum(all(row.get(name) for name in CHECKS) for row in exported)
    names = {row["name"] for row in exported}
    share = f"{passed / max(len(exported), 1):.1%}"
    versions = f"torch {torch.__version__.split('+')[0]}, timm {timm.__version__}, onnx {onnx.__version__}"
    intro = (
        f"{len(names)} architectures of timm, one of each family, {len(exported)} files: **{passed} pass all five "
        f"checks ({share})**. `make bench-import`, {time.strftime('%Y-%m-%d')}, {versions}, ONNX Runtime "
        f"{onnxruntime.__version__}, one thread of an x86 processor."
    )
    lines = [
        "# Import of exported files",
        "",
        intro,
        "",
        "Weights are random and nowhere trivial; large families are taken at a small width or depth. The checks:",
        "",
        "- **imported**: the file becomes a torch module whose parameters are the file's tensors;",
        "- **parity**: the outputs agree with ONNX Runtime's within 1e-4 max\\|b\\| + 1e-3 \\|b\\|;",
        "- **trainable**: at least 99% of the file's floating-point numbers are parameters (statistics aside);",
        "- **identical**: untouched weights written back give the same file, byte for byte;",
        "- **step**: one step changes exactly the tensors that gradients reach, at least 95% of the parameters.",
        "",
        f"| exporter | opset | tried | exported | {' | '.join(CHECKS)} | median seconds to import |",
        "|" + "---|" * (len(CHECKS) + 5),
    ]
    for exporter, opset in EXPORTS:
        tried = [row for row in rows if (row["exporter"], row["opset"]) == (exporter, opset)]
        part = [row for row in tried if row.get("exported")]
        counts = " | ".join(str(sum(bool(row.get(name)) for row in part)) for name in CHECKS)
        seconds = np.median([row["seconds"] for row in part if "seconds" in row] or [np.nan])
        lines.append(f"| {exporter} | {opset} | {len(tried)} | {len(part)} | {counts} | {seconds:.2f} |")
    lines += [
        "",
        "## What does not pass",
        "",
        "| architecture | exporter | opset | what | why |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        failed = [name for name in CHECKS if not row.get(name)] if row.get("exported") else ["not exported by torch"]
        if failed:
            why = REASONS.get(row["name"]) or _plain(row.get("problem", ""))
            lines.append(f"| {row['name']} | {row['exporter']} | {row['opset']} | {', '.join(failed)} | {why} |")
    untried = sorted(
        {(name, exporter) for name in ARCHITECTURES for exporter, _ in EXPORTS}
        - {(row["name"], row["exporter"]) for row in rows}
    )
    if untried:
        names_of = ", ".join(f"{name} ({exporter})" for name, exporter in untried)
        lines += ["", f"Not tried in this run: {names_of}."]
    return "\n".join(lines) + "\n"


def _plain(problem: str) -> str:
    """An error on one line of a table, without the colours of a terminal."""
    return re.sub(r"\x1b\[\d+m", "", problem).split(" This is step")[0].replace("|", "\\|")[:160]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("import_bench.jsonl"))
    parser.add_argument("--only", nargs="*", default=list(ARCHITECTURES))
    parser.add_argument("--exporters", nargs="*", default=["torchscript", "dynamo"])
    parser.add_argument("--page", type=Path, help="write the results as a page of the documentation")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    run(arguments.out, arguments.only, arguments.exporters)
    sys.stdout.write(table(arguments.out) + "\n")
    if arguments.page:
        arguments.page.write_text(page(arguments.out), encoding="utf-8")


if __name__ == "__main__":
    main()
