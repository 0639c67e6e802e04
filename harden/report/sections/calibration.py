"""How far the networks' own confidence can be trusted, and how much chips disagree."""

from __future__ import annotations

from collections.abc import Sequence

from harden.records.condition import Reliability
from harden.report.blocks import Bullets, Columns, Details, Figure, Section, Table
from harden.report.charts.reliability import Bins, diagram
from harden.report.conditions import Condition, Row, table_rows
from harden.report.document import Reading
from harden.report.plots import colour
from harden.words import MISSING, clean, known, percent, rate

ORDER = 100
TITLE = "Confidence and agreement"
LEAST = 0.005  # share of the images below which a bin's accuracy is mostly luck


def _nats(value: float | None) -> str:
    return f"{value:.3f}" if known(value) else MISSING


_ROWS: tuple[Row, ...] = (
    ("Mean confidence without noise", lambda t: t.clean.confidence, percent),
    ("Mean confidence over chips", lambda t: t.entry.confidence, percent),
    ("Expected calibration error without noise", lambda t: t.clean.ece, percent),
    ("Expected calibration error over chips", lambda t: t.entry.ece, percent),
    ("Agreement with the network without noise", lambda t: t.entry.agreement, percent),
    ("Expected KL divergence between chips (nats)", lambda t: t.entry.ekl, _nats),
)


def build(reading: Reading) -> Section:
    """A table, the reliability diagram where the bins are known, and how to read both."""
    condition = reading.hardest
    rows = table_rows(condition.trials if condition else (), _ROWS)
    if not condition or not rows:
        return Section(TITLE, [])
    trials = condition.trials
    heads = [""] if reading.kind == "eval" else [clean(t.role) for t in trials]
    table = Table(["", *heads], rows, "l" + "r" * len(trials), caption=f"Noise: {condition.label}.")
    words = Bullets(
        [
            "Confidence: the largest of the probabilities that the network gives to the classes.",
            "Calibration error: how far, on average, the stated confidence is from the accuracy. 0 is best.",
            "Agreement: how often a chip gives the class that the network gives without noise.",
            "KL divergence: how far a chip's probabilities are from the average chip's. 0: all chips agree.",
        ]
    )
    networks = _networks(reading, condition)
    if not networks:
        return Section(TITLE, [table, words])
    numbers = Details("The diagram's numbers", [_numbers(networks)])
    return Section(TITLE, [Columns([_figure(networks, condition)], [table]), words, numbers])


def _networks(reading: Reading, condition: Condition) -> list[Bins]:
    """Every network over its chips; of a single network also without noise."""
    networks = [
        _bins("chips" if t.role == "network" else clean(t.role), colour(t.role, i), t.entry.reliability)
        for i, t in enumerate(condition.trials)
    ]
    if reading.kind == "eval":
        networks.insert(0, _bins("without noise", "limit", condition.subject.clean.reliability))
    return [network for network in networks if network]


def _bins(label: str, tone: str, part: Reliability | None) -> Bins | None:
    if part is None or not len(part.share) == len(part.accuracy) == len(part.confidence) > 0:
        return None
    return Bins(label, tone, [s if known(s) else 0.0 for s in part.share], part.accuracy, part.confidence)


def _figure(networks: Sequence[Bins], condition: Condition) -> Figure:
    gaps = "; ".join(f"{network.label} {_widest(network)}" for network in networks)
    return diagram(
        "reliability",
        networks,
        least=LEAST,
        alt=f"Accuracy against confidence under {condition.label}, with the widest gap of each network: {gaps}.",
        caption=f"Below the dotted diagonal a network is overconfident. All chips together; bins with less "
        f"than {rate(LEAST)} of the images are not drawn above.",
    )


def _widest(network: Bins) -> str:
    c, a = max(network.points(LEAST), key=lambda p: abs(p[0] - p[1]), default=(None, None))
    return f"{percent(a)} right at {percent(c)} confidence"


def _numbers(networks: Sequence[Bins]) -> Table:
    several = len(networks) > 1
    head = ["confidence"]
    for network in networks:
        name = f", {network.label}" if several else ""
        head += [f"images{name}", f"confidence{name}", f"accuracy{name}"]
    bins = len(networks[0].share)
    rows = []
    for i in range(bins):
        row = [f"{percent(i / bins)} to {percent((i + 1) / bins)}"]
        for network in networks:
            row += [percent(network.share[i], 2), percent(network.confidence[i]), percent(network.accuracy[i])]
        rows.append(row)
    return Table(head, rows, "l" + "r" * (len(head) - 1))
