"""The recipe: try several methods on the validation split, and go on with the best."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from harden.methods.base import Candidate, Names, Options, Recipe

# What may be tried. Levers that are not named stay as the run has them.
CANDIDATES = {
    candidate.name: candidate
    for candidate in (
        Candidate("noise", {"method": "noise", "clip": "auto"}),
        Candidate("distill", {"method": "distill", "clip": "auto"}),
        Candidate("distill_loose", {"method": "distill", "clip": 2.5}),
        Candidate("distill_columns", {"method": "distill", "clip": "auto", "column_scaling": "on"}),
        Candidate("distill_gentle", {"method": "distill"}, gentle=True),
        Candidate("noise_1.5", {"method": "noise", "clip": "auto", "train_sigma_scale": 1.5}),
        Candidate("distill_1.5", {"method": "distill", "clip": "auto", "train_sigma_scale": 1.5}),
        Candidate("nft_irs", {"method": "nft_irs", "clip": "auto"}),
        Candidate("nft_ovf", {"method": "nft_ovf", "clip": "auto"}),
        Candidate("adversarial", {"method": "adversarial", "options": {"attack_steps": 1}, "clip": "auto"}),
        Candidate("rdrop", {"method": "rdrop", "clip": "auto"}),
    )
}
ALWAYS = ("noise", "distill")


class Config(Options):
    """What is tried, and how the budget is shared."""

    candidates: Names = Field(
        ("noise", "distill", "distill_loose", "distill_columns", "distill_1.5", "distill_gentle"),
        description=f"Runs to try, of {', '.join(CANDIDATES)}; noise and distill are always among them; ours",
    )
    keep: float = Field(
        0.5, gt=0, lt=1, description="Share of the candidates that a round leaves; Jamieson and Talwalkar use 1/2"
    )
    search: float = Field(0.5, gt=0, lt=1, description="Share of the passes that goes into trying; ours")


class Method(Recipe):
    r"""Try recipes by successive halving within the run's passes, and train the winner with what is left.

    Equation: round r gives every candidate that is left :math:`s\,P / (R\, n_r)` of the P passes, s the share for
    trying and R the number of rounds, each a short run of its own; :math:`n_{r+1} = \lceil k\, n_r \rceil`. Methods
    that need more passes per step get fewer steps. Validation chips decide.

    Use it where it is not known which method suits the network; it costs half the budget.

    Source: successive halving, Jamieson and Talwalkar, AISTATS 2016, arXiv 1502.07943.

    Example:
        >>> import harden.methods
        >>> [run.name for run in harden.methods.load("auto", {"candidates": "rdrop"}).candidates()]
        ['noise', 'distill', 'rdrop']
    """

    summary = "Tries recipes by successive halving, trains the best"
    cost = "the run's own budget, half of it for trying"
    source = "Jamieson, Talwalkar, AISTATS 2016, arXiv 1502.07943"
    Config: ClassVar[type[Options]] = Config

    def candidates(self) -> list[Candidate]:
        """What to try, ``noise`` and ``distill`` first.

        Raises:
            UnknownNameError: A candidate is unknown.
        """
        from harden.errors import UnknownNameError

        names = list(dict.fromkeys([*ALWAYS, *self.config.candidates]))
        for name in names:
            if name not in CANDIDATES:
                raise UnknownNameError("candidate", name, CANDIDATES)
        return [CANDIDATES[name] for name in names]
