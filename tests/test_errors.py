"""Errors travel between processes."""

from __future__ import annotations

import pickle

from raydnn.errors import DataError, JobError, Problem


def test_an_error_comes_out_of_a_worker_as_it_went_in() -> None:
    problems = (Problem("job.yaml:2", "data.target", "none"), Problem("", "seed", "3"))
    error = pickle.loads(pickle.dumps(JobError(problems)))
    assert (error.problems, str(error)) == (problems, "job.yaml:2: data.target: none\nseed: 3")
    data = pickle.loads(pickle.dumps(DataError("a.csv: none", field="data.path", path="a.csv")))
    assert (str(data), data.field, data.path) == ("a.csv: none", "data.path", "a.csv")
