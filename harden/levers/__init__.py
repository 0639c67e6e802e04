"""What makes a network robust besides the objective that it is trained with: one file a lever.

A file ``harden/levers/NAME.py`` (or a module behind the entry point ``harden.levers``) defines a class ``Lever``;
:mod:`harden.levers.base` says what belongs in it. Everything that knows of levers goes through :func:`levers`: the
training options, the training loop, the command line's help, the report, the ablation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from harden.errors import SettingsError
from harden.levers.base import Lever, Plan, Row, described
from harden.registry import LEVERS


@lru_cache
def levers() -> tuple[type[Lever[Any]], ...]:
    """All levers, in the order in which they are listed.

    Raises:
        SettingsError: A third party's lever cannot be imported, or takes an option's name that another one has.

    Example:
        >>> [lever.name for lever in levers()][:2]
        ['clip', 'column_scaling']
    """
    members = sorted((_member(name) for name in LEVERS), key=lambda lever: (lever.order, lever.name))
    owners: dict[str, str] = {}
    for lever in members:
        for option in lever.Options.model_fields:
            if option in owners:
                raise SettingsError(
                    f"levers {owners[option]} and {lever.name} both have an option {option}",
                    fix="Uninstall the package of one of them, or rename its option",
                )
            owners[option] = lever.name
    return tuple(members)


def _member(name: str) -> type[Lever[Any]]:
    try:
        lever: type[Lever[Any]] = LEVERS.module(name).Lever
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"lever {name} cannot be imported: {error}", fix="Mend or uninstall the package that brings it"
        ) from error
    lever.name = name
    return lever


def lever(name: str) -> type[Lever[Any]] | None:
    """The lever of this name; None where there is none."""
    return next((member for member in levers() if member.name == name), None)


def without(plan: Plan, names: Iterable[str]) -> Any:
    """The plan with some levers switched off."""
    off = set(names)
    return plan.replace(**{k: v for member in levers() if member.name in off for k, v in member.switched_off().items()})


def in_use(plan: Plan, records: Mapping[str, Any], batch_norms: bool) -> list[type[Lever[Any]]]:
    """The levers whose absence would change a run.

    Args:
        plan: How the run trains.
        records: What the run recorded of its levers; empty before the run, when ``auto`` counts as on.
        batch_norms: Whether the graph keeps batch norms.
    """
    return [member for member in levers() if member.used(plan, records, batch_norms)]


def row(name: str, record: Any) -> Row | None:
    """The report's row of what a run recorded under this name; None where there is nothing to say."""
    member = lever(name)
    return described(name, record) if member is None else member.row(record)


__all__ = ["Lever", "Row", "in_use", "lever", "levers", "row", "without"]
