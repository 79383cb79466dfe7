"""The simulated sweep, on cases small enough to be reckoned by hand."""

from __future__ import annotations

from itertools import chain, cycle, repeat

import pytest

from raydnn.search.planning import (
    Cost,
    Line,
    Overhead,
    Planned,
    generation_sizes,
    made_up_curves,
    rung_table,
    timetable,
)

FREE = Overhead(0.0, 0.0, 0.0, 0.0, 0.0)
NOTHING = Line(0.0, 0.0)
COST = Cost(0.0, Line(1.0, 0.5), 1, NOTHING, 0.0)
"""An epoch of N trials takes 1 + N / 2 seconds."""


def test_a_line_goes_through_both_measurements() -> None:
    line = Line.through((2, 3.0), (10, 7.0))
    assert (line.at(2), line.at(10)) == (3.0, 7.0)


@pytest.mark.parametrize(("few", "many"), [((1, 5.0), (8, 4.0)), ((2, 0.1), (4, 4.0))])
def test_noise_makes_no_line_that_falls_or_ends_below_zero(
    few: tuple[int, float], many: tuple[int, float]
) -> None:
    line = Line.through(few, many)
    assert line.at(many[0]) == pytest.approx(many[1])
    assert line.fixed_seconds >= 0
    assert line.each_seconds >= 0


def test_one_stack_shrinks_where_trials_stop() -> None:
    # 2 epochs of 4 trials (3 s each), then 2 of the one that is left (1.5 s each)
    table = timetable([[Planned(0, (0, 1, 2, 3), 4)]], {0: 2, 1: 2, 3: 2}, [COST], 1, FREE)
    assert table.wall_seconds == pytest.approx(2 * 3.0 + 2 * 1.5)
    assert table.epochs == 2 * 4 + 2
    assert table.epochs_of_shape == (4,)


def test_parts_are_trained_in_turn_and_recorded_together() -> None:
    cost = Cost(0.0, Line(1.0, 0.5), 3, Line(0.25, 0.125), 0.0)
    assert cost.epoch_seconds(8) == pytest.approx(3 * 1.0 + 8 * 0.5 + 0.25 + 8 * 0.125)
    # with 2 trials left, at most 2 of the parts have any
    assert cost.epoch_seconds(2) == pytest.approx(2 * 1.0 + 2 * 0.5 + 0.25 + 2 * 0.125)


def test_a_stack_whose_trials_all_stop_frees_its_slot() -> None:
    stacks = [Planned(0, (0,), 9), Planned(0, (1,), 2)]
    assert timetable([stacks], {0: 3}, [COST], 1, FREE).wall_seconds == pytest.approx(5 * 1.5)


def test_stacks_share_the_slots() -> None:
    stacks = [Planned(0, (number,), 2) for number in range(5)]
    assert timetable([stacks], {}, [COST], 2, FREE).wall_seconds == pytest.approx(3 * 2 * 1.5)
    assert timetable([stacks], {}, [COST], 8, FREE).wall_seconds == pytest.approx(2 * 1.5)


def test_a_generation_waits_for_the_one_before() -> None:
    generations = [[Planned(0, (0,), 2), Planned(0, (1,), 4)], [Planned(0, (2,), 1)]]
    assert timetable(generations, {}, [COST], 2, FREE).wall_seconds == pytest.approx((4 + 1) * 1.5)


def test_a_stack_waits_at_a_rung_for_the_lower_ones() -> None:
    slow = Cost(0.0, Line(10.0, 0.0), 1, NOTHING, 0.0)
    stacks = [Planned(1, (0,), 1), Planned(0, (1, 2), 3)]
    # stack 1 has epoch 1 after 2 s, but is judged when stack 0 has ended, after 10 s
    table = timetable([stacks], {1: 1}, [COST, slow], 2, FREE)
    assert table.wall_seconds == pytest.approx(10.0 + 2 * 1.5)


def test_fixed_costs_are_paid_where_they_arise() -> None:
    overhead = Overhead(100.0, 10.0, 1.0, 0.5, 1000.0)
    stacks = [Planned(0, (0, 1), 2), Planned(0, (2,), 2)]
    cost = Cost(0.25, Line(1.0, 0.0), 1, NOTHING, 0.125)
    table = timetable([stacks], {0: 1}, [cost], 1, overhead)
    first = 10.0 + 0.25 + 2 * 1.0 + 0.5 + 0.125
    second = 1.0 + 0.25 + 2 * 1.0 + 0.5 + 0.125
    assert table.wall_seconds == pytest.approx(100.0 + first + second + 1000.0)


def test_the_rungs_count_who_arrives_and_who_goes_on() -> None:
    assert rung_table({0: 1, 1: 1, 2: 3}, 5) == [
        {"epoch": 1, "trials": 5, "stopped": 2, "go_on": 3},
        {"epoch": 3, "trials": 3, "stopped": 1, "go_on": 2},
    ]


def test_generations_hold_all_trials() -> None:
    assert generation_sizes(50, chain([16], repeat(8))) == [16, 8, 8, 8, 8, 2]
    assert generation_sizes(10, repeat(16)) == [10]
    assert generation_sizes(30, cycle([16, 10, 7])) == [16, 10, 4]


def test_made_up_curves_depend_on_the_seed_alone() -> None:
    assert made_up_curves([3, 1], 4, 0) == made_up_curves([3, 1], 4, 0) != made_up_curves([3, 1], 4, 1)
