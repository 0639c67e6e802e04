"""What the report does not prove, in plain words."""

from __future__ import annotations

from harden.report.blocks import Bullets, Section
from harden.report.document import Reading
from harden.report.measures import upper_bound
from harden.statistics.intervals import tolerance_trials
from harden.words import clean, file_name, number, percent, plural

ORDER = 110
TITLE = "What this does not prove"


def build(reading: Reading) -> Section:
    """Assumptions, sample sizes and gaps of this very run: no report goes without them."""
    return Section(TITLE, [Bullets(statements(reading))])


def statements(reading: Reading) -> list[str]:
    """The limits, one sentence or two each."""
    items = [
        (
            f"The chips are simulated. The noise is what the profile ({reading.profile}) says; whether it describes "
            "your devices is your assumption, and nothing here tests it."
        )
    ]
    references = sorted({str(c.parameters["reference"]) for c in reading.conditions if c.parameters.get("reference")})
    if references:
        items.append(
            f"Weights are mapped to conductances with one scale for each {' or '.join(map(clean, references))}. "
            "Where noise grows with the range, another mapping gives other numbers, with and without hardening."
        )
    items += _sample(reading)
    items += _coverage(reading)
    items.append(
        "Only what the profile models is simulated. Unless it says otherwise: no quantisation by converters "
        "(ADC, DAC), no voltage drop along wires, no noise on activations, no faults of the digital part, "
        "no temperature."
    )
    if any(c.at_s for c in reading.conditions):
        items.append("Ageing is shown at the times that were asked for; between and beyond them nothing was tried.")
    elif reading.conditions:
        items.append("One point in time was tried; nothing is said about ageing.")
    items.append("Noise is drawn at random. An adversary, or a systematic defect, can be worse than every chip shown.")
    return items + _hints(reading)


def _sample(reading: Reading) -> list[str]:
    data = reading.data
    if data.examples is None:
        return ["Without labelled data nothing is known about the accuracy."] if reading.kind == "fit" else []
    source = file_name(data.source or "the test data")
    return [
        (
            f"Accuracy was measured on {plural(data.examples, 'example')} of {source}, a sample. Data of another "
            "distribution (other cameras, other users) can behave differently, with and without noise."
        )
    ]


def _coverage(reading: Reading) -> list[str]:
    condition = reading.hardest
    if condition is None:
        return ["No chips were tried: the file is known to compute the same as before, nothing more."]
    chips = condition.subject.chips
    text = (
        f"{plural(chips, 'chip')} cannot show rare failures: even if none of them fails, up to "
        f"{percent(upper_bound(0, chips))} of all chips may (95% confidence)."
    )
    if chips < tolerance_trials(0.99):
        text += f" A statement about 99% of chips needs {tolerance_trials(0.99)}."
    return [text]


def _hints(reading: Reading) -> list[str]:
    items = []
    shared = reading.training.shared_with_test
    if shared:
        items.append(
            f"{plural(shared, 'example')} of the test data, of {number(reading.data.examples)}, "
            f"{'are' if shared > 1 else 'is'} in the training or validation data as well: the accuracy is flattered."
        )
    if reading.fit and reading.fit.reported_on == "validation":
        items.append(
            "No test data was given: the figures are from the validation split that also chose the checkpoint."
        )
    if reading.last and reading.last.not_perturbed:
        items.append("The tensors listed as not perturbed are taken to be stored without error.")
    if reading.fit:
        seeds = len(reading.fit.seeds)
        items.append(
            f"Only {plural(seeds, 'training run')}: that tells roughly how much another seed changes, and no more."
            if seeds > 1
            else "One training run, one seed: another seed gives another network. `--seeds N` shows how much."
        )
    return items
