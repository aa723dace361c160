"""The numbers of the job `fibonacci`: right, exact, and safe on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_app.jobs.fibonacci.numbers import HIGHEST_LEVEL, WIDEST_ROW, from_wire, pyramid, sequence, to_wire


def test_the_sequence_starts_at_zero_and_each_number_is_the_sum_of_the_two_before() -> None:
    assert [sequence(level) for level in (1, 2, 3)] == [[0], [0, 1], [0, 1, 1]]
    assert sequence(10) == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]


@pytest.mark.parametrize("level", [1, 10, 93, 94, 1000, HIGHEST_LEVEL])
def test_the_sum_of_the_first_numbers_is_one_less_than_the_next_but_one(level: int) -> None:
    assert sum(sequence(level)) == sequence(level + 2)[-1] - 1


def test_a_pyramid_has_one_number_more_in_each_row_and_is_centred() -> None:
    assert pyramid(sequence(4)).splitlines() == ["   0", "  0 1", " 0 1 1", "0 1 1 2"]


def test_a_pyramid_stays_on_a_line_whatever_the_level() -> None:
    assert len(pyramid(sequence(300)).splitlines()) == WIDEST_ROW


@pytest.mark.parametrize("number", [0, 88, 2**63 - 1, -(2**63)])
def test_up_to_64_bits_an_integer_travels_as_itself(number: int) -> None:
    assert to_wire(number) is number


@pytest.mark.parametrize("number", [2**63, 2**64, sum(sequence(HIGHEST_LEVEL)) * 1000])
def test_beyond_64_bits_it_travels_as_decimal_text(number: int) -> None:
    assert to_wire(number) == str(number)


@given(st.integers(min_value=0))
def test_what_was_sent_is_what_arrives(number: int) -> None:
    assert from_wire(to_wire(number)) == number


@pytest.mark.parametrize(
    "value",
    [None, True, 88.0, "", "88.0", "-88", "1e3", " 88", "0x58", "٨٨", "nan", [88], {"sum": 88}, "9" * 4301],
    ids=repr,
)
def test_what_is_no_integer_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="no integer and no decimal text"):
        from_wire(value)
