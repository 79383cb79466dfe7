"""Whose fault it is that a training ended, by what Ray says of its workers."""

from __future__ import annotations

import pytest
from ray.exceptions import ActorDiedError
from ray.train import TrainingFailedError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from raydnn.errors import ClusterError, DataError, RaydnnError, UserCodeError
from raydnn.launch.runs.failures import failure_of_training

GLOO = RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:43234")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (WorkerGroupError("", {0: GLOO, 1: ActorDiedError()}), ClusterError, "ActorDiedError"),
        (WorkerGroupError("", {0: GLOO}), ClusterError, "Connection closed"),
        (WorkerGroupError("", {0: GLOO, 1: ValueError("no luck")}), UserCodeError, "ValueError: no luck"),
        (WorkerGroupError("", {0: DataError("rows.csv: gone")}), DataError, "rows.csv: gone"),
        (ControllerError(ActorDiedError()), ClusterError, "ActorDiedError"),
    ],
)
def test_only_an_error_of_the_users_code_is_a_failure_of_the_training(
    error: TrainingFailedError, kind: type[RaydnnError], said: str
) -> None:
    failure = failure_of_training(error)
    assert type(failure) is kind
    assert said in str(failure)
