"""Every operator we claim, held to the ONNX project's node tests."""

from __future__ import annotations

from fnmatch import fnmatchcase

import conformance
import pytest

from harden.graph.ops import operators

CLAIMED = sorted(operators())


@pytest.mark.parametrize("key", CLAIMED, ids=[f"{domain}.{name}" if domain else name for domain, name in CLAIMED])
def test_operator_passes_its_node_tests(key):
    wrong = []
    # A case is run with the first of its operators; the others need not run it again.
    for case in conformance.cases():
        if min(case.operators) != key:
            continue
        failure, reason = conformance.failure(case), conformance.excluded(case.name)
        if failure and not reason:
            wrong.append(f"{case.name}: {failure}")
        if reason and not failure:
            wrong.append(f"{case.name} passes, but is excluded: {reason}")
    assert not wrong, "\n".join(wrong)


def test_every_exclusion_is_of_a_case():
    names = [case.name for case in conformance.cases()]
    unused = [p for p in conformance.exclusions() if not any(fnmatchcase(name, p) for name in names)]
    assert not unused


def test_the_suite_is_the_size_we_say():
    run = [case for case in conformance.cases() if not conformance.excluded(case.name)]
    assert len(run) > 1500
