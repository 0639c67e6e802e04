"""Run the cells of the benchmark: which method hardens best, with everything around it equal?

    python benchmarks/effectiveness/run.py TASK [TASK ...]     # by the names of tasks/*.toml; resumable
    python benchmarks/effectiveness/run.py --quick             # the quick subset, its first seed: under 15 minutes

A cell is a recipe, a profile and a seed: one ``harden.fit`` (or what a transform does) and one ``harden.evaluate``.
Weights are chosen on a split of the training data, never on the test set. A finished cell is a line of
``benchmarks/results/effectiveness-TASK.jsonl`` and is not run again; trained models are kept in ``--cache``.
Recipes that need more passes per step, or a larger batch, get fewer steps, so that all cost the same ((F + 2 B) / 3
plain steps, in proportion to the batch).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import data as datasets
import networks
from tasks import BATCH, Recipe, Task, all_tasks, read

import harden
from harden import methods, streams
from harden.evaluation.plan import Condition
from harden.evaluation.pseudo_labels import answered
from harden.graph.file import Model
from harden.levers.protect import budget_of
from harden.noise.profile import Profile
from harden.registry import METHODS
from harden.settings import read_seconds
from harden.statistics import intervals
from harden.store import append_line, read_lines, scratch, write_atomic
from harden.training.protect import protect

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
CHIP_SEED = 0
QUICK = ("quick",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(all_tasks())}; default: all")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "effectiveness")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--threads", type=int, default=1, help="part of what decides the bits")
    options = parser.parse_args()
    for name in QUICK if options.quick else options.tasks or all_tasks():
        if name not in all_tasks():
            parser.error(f"no task {name}; there are {', '.join(all_tasks())}")
        task = read(all_tasks()[name])
        if options.quick:
            task = task.model_copy(update={"seeds": task.seeds[:1]})
        Bench(name, task, options.cache / name, options.results, options.threads).run()


class Bench:
    """The cells of one task."""

    def __init__(self, name: str, task: Task, cache: Path, results: Path, threads: int) -> None:
        self.name, self.task, self.cache, self.threads = name, task, cache, threads
        results.mkdir(parents=True, exist_ok=True)
        self.file = results / f"effectiveness-{name}.jsonl"
        train, test = datasets.open_data(task.data)
        if task.train_examples is not None:
            train = train.sample(task.train_examples, streams.numpy_generator(0, "effectiveness", "train"))
        self.train, self.validation = train.split(0.1, streams.numpy_generator(0, "split"))
        if task.examples is not None:
            test = test.sample(task.examples, streams.numpy_generator(0, "effectiveness", "test"))
        self.test = answered(test, self.start(Recipe(name="given"), (), 0)) if task.pseudo else test

    def run(self) -> None:
        """Every cell that is not in the results yet."""
        rows = list(read_lines(self.file))
        digests = {recipe.name: self.digest(recipe) for recipe in self.task.recipe}
        for row in rows:
            now = digests.get(row["method"])
            if now and row.get("recipe", now) != now:
                raise SystemExit(f"{self.file}: '{row['method']}' has changed since its rows were made; delete them")
        done = {(row["method"], row["profile"], row["seed"]) for row in rows}
        for seed in self.task.seeds:
            for recipe in self.task.recipe:
                for trained_for, profiles in self.models(recipe):
                    missing = [p for p in profiles if (recipe.name, p, seed) not in done]
                    if recipe.report and missing:
                        self.cell(recipe, trained_for, missing, seed)

    def models(self, recipe: Recipe) -> Iterator[tuple[tuple[str, ...], list[str]]]:
        """For each model of a recipe, what it is trained for and what it is evaluated on."""
        if recipe.train:
            yield ((recipe.train,) if isinstance(recipe.train, str) else tuple(recipe.train)), self.task.profiles
        elif recipe.once:
            yield (self.task.profiles[0],), self.task.profiles
        else:
            for profile in self.task.profiles:
                yield (profile,), [profile]

    def cell(self, recipe: Recipe, trained_for: tuple[str, ...], profiles: list[str], seed: int) -> None:
        """Train, evaluate, and append the lines."""
        model, record = self.model(recipe, trained_for, seed)
        with scratch() as folder:
            trials = folder / "trials.jsonl"
            evaluation = harden.evaluate(
                model,
                [condition(text, recipe.reference) for text in profiles],
                self.test,
                chips=self.task.chips,
                seed=CHIP_SEED,
                digital=tuple(record["digital"]),
                threads=self.threads,
                trials=trials,
            )
            chips = list(read_lines(trials))
        key = "balanced_accuracy" if self.task.balanced else "accuracy"
        for number, text in enumerate(profiles):
            values = np.array([chip[key] for chip in chips if chip["condition"] == number])
            row = {"task": self.name, "method": recipe.name, "profile": text, "seed": seed}
            row |= figures(values, self.task.floor)
            row |= {"clean": round(evaluation.document["clean"][key], 5)}
            row |= {"seconds": round(record["seconds"], 1), "steps": record["steps"], "passes": record["passes"]}
            row |= {"selected": record["selected"]} if "selected" in record else {}
            row |= {"chips": self.task.chips, "examples": len(self.test), "trained_for": list(trained_for)}
            row["recipe"] = self.digest(recipe)
            append_line(self.file, row)
            print(json.dumps(row), flush=True)

    def model(self, recipe: Recipe, trained_for: tuple[str, ...], seed: int) -> tuple[Model, dict[str, Any]]:
        """The recipe's model, from the cache or trained now."""
        file = self.cached(f"{recipe.name}-{'+'.join(trained_for)}-{seed}.onnx")
        kept = file.with_suffix(".json")
        if file.exists() and kept.exists():
            record = json.loads(kept.read_text())
            if record.get("recipe", self.digest(recipe)) != self.digest(recipe):
                raise SystemExit(f"{kept}: '{recipe.name}' has changed since; delete it")
            return Model.load(file), record
        start = self.start(recipe, trained_for, seed)
        print(f"# {self.name}: {recipe.name} for {', '.join(trained_for)}, seed {seed}", file=sys.stderr, flush=True)
        conditions = [condition(text, "") for text in trained_for]
        ranked = self.ranked(start, recipe, trained_for[0], seed) if recipe.protect else {"digital": (), "seconds": 0.0}
        began = time.process_time()
        model, told = self.harden(start, recipe, conditions, tuple(ranked["digital"]), seed)
        record = {**ranked, "seconds": ranked["seconds"] + time.process_time() - began, **told}
        record["recipe"] = self.digest(recipe)
        model.save(file)
        write_atomic(kept, json.dumps(record, default=str) + "\n")
        return model, record

    def ranked(self, start: Model, recipe: Recipe, profile: str, seed: int) -> dict[str, Any]:
        """Which layers stay digital, and the seconds that it took to find out: once for all recipes with that start."""
        file = self.cached(f"protect-{recipe.start}-{recipe.protect}-{profile}-{seed}.json")
        if not file.exists():
            began = time.process_time()
            judged = self.validation.subset(slice(0, 500))  # its check runs 120 chips on all of them
            budget = budget_of(recipe.protect)
            digital, found = protect(start, condition(profile, ""), judged, budget, seed=seed, threads=self.threads)
            record = {"digital": digital, "seconds": time.process_time() - began, "protected": found}
            write_atomic(file, json.dumps(record, default=str) + "\n")
        return json.loads(file.read_text())

    def cached(self, name: str) -> Path:
        """A file of the cache, whose folder is there."""
        self.cache.mkdir(parents=True, exist_ok=True)
        stem, dot, end = name.rpartition(".")
        return self.cache / f"{''.join(c if c.isalnum() or c in '.-' else '_' for c in stem)}{dot}{end}"

    def digest(self, recipe: Recipe) -> str:
        """Of everything declared that decides a recipe's numbers but for the profile and the seed."""
        shared = self.task.model_dump(include={"network", "data", "train_examples", "steps", "plan", "pseudo"})
        own = recipe.model_dump(exclude={"name", "report"}, exclude_defaults=True)
        return hashlib.sha256(json.dumps([shared, own], sort_keys=True).encode()).hexdigest()[:12]

    def start(self, recipe: Recipe, trained_for: tuple[str, ...], seed: int) -> Model:
        """What the recipe starts from."""
        if recipe.start != "given":
            base = next(one for one in self.task.recipe if one.name == recipe.start)
            target = next(self.models(base))[0] if base.train or base.once else trained_for
            return self.model(base, target, seed)[0]
        if self.task.network in networks.NETWORKS:
            return networks.build(self.task.network, seed)
        if self.task.network == "embedded":
            return Model.load(datasets.EMBEDDED / "digits_cnn.onnx")
        if self.task.network.startswith("timm:"):
            name = self.task.network.removeprefix("timm:")
            return harden.load(self.task.network, weights=datasets.model_file(f"{name}.safetensors"))
        return Model.load(datasets.model_file(self.task.network))

    def harden(
        self, start: Model, recipe: Recipe, conditions: list[Condition], digital: tuple[str, ...], seed: int
    ) -> tuple[Model, dict[str, Any]]:
        """The hardened model, with ``steps`` and ``passes`` of it."""
        plan = {**self.task.plan, **recipe.plan}
        wanted = plan.pop("steps", self.task.steps)
        plan["clip"] = None if plan.get("clip") == "none" else plan.get("clip", "auto")  # TOML knows no null
        if wanted == 0:
            return start, {"steps": 0, "passes": 0}
        kind = methods.describe(recipe.method)["kind"]
        if kind == "transform":
            one = conditions[0]
            order = streams.numpy_generator(seed, "transform").permutation(len(self.train))[:4096]
            mixed = self.train.subset(order)
            batches = [inputs(mixed, at) for at in range(0, len(mixed), 128)]
            method = methods.load(recipe.method, recipe.options)
            done = method.apply(start, batches, one.profile, at_s=one.at_s, digital=digital, seed=seed)
            return done.model, {"steps": 0, "passes": 0, "levers": dict(done.record)}
        batch = plan.setdefault("batch_size", BATCH)
        cost = passes(recipe, kind) * batch / self.task.plan.get("batch_size", BATCH)
        steps = max(1, round(wanted / cost))
        fitted = harden.fit(
            start,
            self.train,
            validation=self.validation,
            method=recipe.method,
            options=recipe.options,
            profile=[one.profile for one in conditions],
            digital=digital,
            seed=seed,
            steps=steps,
            threads=self.threads,
            second_try=recipe.second_try,
            **plan,
        )
        second = fitted.levers.get("second_try")
        taken = len(fitted.history) if second is None else steps + second["steps"]
        return fitted.model, {
            "steps": taken,
            "passes": round(taken * cost, 1),
            "selected": fitted.selected_step,
            "levers": fitted.levers,
        }


def passes(recipe: Recipe, kind: str) -> float:
    """A step's cost in plain steps: (F + 2 B) / 3."""
    if kind == "recipe":
        return 1.0
    own = METHODS.module(methods.resolve(recipe.method)).Method.passes
    forward, backward = recipe.passes or own
    return (forward + 2 * backward) / 3


def condition(text: str, reference: str) -> Condition:
    """A profile at a time: ``NAME:key=value@1h``."""
    name, _, at = text.partition("@")
    if reference:
        name += f"{',' if ':' in name else ':'}reference={reference}"
    profile = Profile.parse(name)
    return Condition(profile, read_seconds(at, "profile") if at else profile.default_at_s)


def inputs(dataset: Any, at: int) -> tuple[Any, ...]:
    """A batch of unlabelled inputs."""
    import torch

    return (torch.from_numpy(np.ascontiguousarray(dataset.inputs(slice(at, min(at + 128, len(dataset)))))),)


def figures(values: np.ndarray, floor: float | None) -> dict[str, float | None]:
    """mean, std, min, p05 and the 90/95 bound over chips, and the share of chips that reach the floor."""
    found = intervals.describe(values)
    row = {key: _rounded(found[key]) for key in ("mean", "std", "min", "p05")}
    row["bound_90_95"] = _rounded(intervals.tolerance_bound(values, 0.9))
    return row if floor is None else {**row, "yield": _rounded(float((values >= floor).mean()))}


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 5)


if __name__ == "__main__":
    main()
