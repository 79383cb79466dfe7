"""The slots of a cluster whose machines are lost and join."""

from __future__ import annotations

import pytest

from raydnn.errors import ClusterError
from raydnn.launch.tuning.slots import ASK_SECONDS, WAIT_SECONDS, Slots
from raydnn.spec.resources import Resources

NODE = {"CPU": 2.0}


class Cluster:
    """Machines of two cores each, at a time."""

    def __init__(self, count: int) -> None:
        self.count, self.seconds, self.asked = count, 0.0, 0

    def nodes(self) -> list[dict[str, float]]:
        self.asked += 1
        return [NODE] * self.count

    def room(self) -> Slots:
        return Slots(Resources(), self.nodes, lambda: self.seconds)


def test_slots_are_asked_for_again_but_not_all_the_time() -> None:
    cluster = Cluster(3)
    room = cluster.room()
    assert room() == 6
    cluster.count = 1
    assert [room() for _ in range(100)] == [6] * 100
    assert cluster.asked == 1
    cluster.seconds += ASK_SECONDS
    assert room() == 2
    cluster.count = 4
    cluster.seconds += ASK_SECONDS
    assert room() == 8


def test_a_cluster_without_any_machine_is_waited_for_and_then_given_up() -> None:
    cluster = Cluster(1)
    room = cluster.room()
    cluster.count = 0
    cluster.seconds = 10.0
    with pytest.warns(UserWarning, match=f"waiting {WAIT_SECONDS:g} s"):
        assert room() == 0
    cluster.seconds = WAIT_SECONDS - 1
    assert room() == 0
    cluster.count = 1
    cluster.seconds += ASK_SECONDS
    assert room() == 2
    cluster.count = 0
    cluster.seconds += ASK_SECONDS
    with pytest.warns(UserWarning, match="any more"):
        assert room() == 0
    cluster.seconds += WAIT_SECONDS + ASK_SECONDS
    with pytest.raises(ClusterError, match="no machine of the cluster"):
        room()


def test_a_cluster_that_is_too_small_from_the_start_is_not_waited_for() -> None:
    with pytest.raises(ClusterError, match="1 CPU each are needed, there is nothing"):
        Cluster(0).room()
