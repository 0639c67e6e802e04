"""How many chips and examples a measurement beside the run may have."""

from hypothesis import given
from hypothesis import strategies as st

from harden.analyses.sample import Sample

sizes = st.builds(Sample, st.integers(1, 100), st.integers(1, 1000))


@given(sizes, sizes, st.floats(0, 1e6))
def test_a_sample_keeps_its_cost_unless_it_is_the_least_one(most, least, passes):
    sample = most.within(passes, least)
    for number, top, bottom in (
        (sample.chips, most.chips, least.chips),
        (sample.examples, most.examples, least.examples),
    ):
        assert min(top, bottom) <= number <= top
    above = sample.chips > least.chips and sample.examples > least.examples
    assert not above or sample.chips * sample.examples <= passes or sample == most


@given(sizes, sizes)
def test_enough_passes_leave_it_as_it_is(most, least):
    assert most.within(most.chips * most.examples, least) == most
