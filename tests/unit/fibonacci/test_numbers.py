"""Fibonacci numbers and their encoding."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_app.jobs.fibonacci.numbers import MAX_LEVEL, MAX_ROW, from_wire, pyramid, sequence, to_wire


def test_the_sequence_starts_at_zero_and_each_number_is_the_sum_of_the_two_before() -> None:
    assert [sequence(level) for level in (1, 2, 3)] == [[0], [0, 1], [0, 1, 1]]
    assert sequence(10) == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]


@pytest.mark.parametrize("level", [1, 10, 93, 94, 1000, MAX_LEVEL])
def test_the_sum_of_the_first_numbers_is_one_less_than_the_next_but_one(level: int) -> None:
    assert sum(sequence(level)) == sequence(level + 2)[-1] - 1


def test_each_row_of_a_pyramid_is_one_number_longer_and_centred() -> None:
    assert pyramid(sequence(4)).splitlines() == ["   0", "  0 1", " 0 1 1", "0 1 1 2"]


def test_a_pyramid_has_a_limited_width() -> None:
    assert len(pyramid(sequence(300)).splitlines()) == MAX_ROW


def test_an_integer_of_more_than_64_bits_is_sent_as_decimal_text() -> None:
    assert [to_wire(number) for number in (0, 2**63 - 1, -(2**63))] == [0, 2**63 - 1, -(2**63)]
    for number in (2**63, 2**64, sum(sequence(MAX_LEVEL)) * 1000):
        assert to_wire(number) == str(number)


@settings(deadline=None)
@given(st.integers(min_value=0))
def test_decoding_reverses_encoding(number: int) -> None:
    assert from_wire(to_wire(number)) == number


@pytest.mark.parametrize(
    "value",
    [None, True, 88.0, "", "88.0", "-88", "1e3", " 88", "0x58", "٨٨", "nan", [88], {"sum": 88}, "9" * 4301],
    ids=repr,
)
def test_a_value_that_is_not_an_integer_is_rejected(value: object) -> None:
    with pytest.raises(ValueError, match="neither an integer nor decimal text"):
        from_wire(value)
