from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import StandardScaler

from raydnn.data.scaling import ScalingState, fit
from raydnn.spec.data import Scaling

INPUTS = torch.from_numpy(np.random.default_rng(0).normal(3, 5, (200, 4, 3)).astype(np.float32))


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=3, max_side=8),
        elements=st.floats(-1e6, 1e6, width=32),
    )
)
def test_every_scaling_is_finite_and_leaves_its_input_alone(inputs: np.ndarray) -> None:
    given_inputs = torch.from_numpy(inputs.copy())
    for name in get_args(Scaling):
        state = fit(name, given_inputs)
        scaled = state.apply(given_inputs)
        assert scaled.dtype == torch.float32
        assert scaled.shape == given_inputs.shape
        assert scaled.isfinite().all()
        assert (state.scale != 0).all()
        torch.testing.assert_close(scaled, (given_inputs - state.shift) / state.scale)
        assert given_inputs.numpy().tobytes() == inputs.tobytes()


def test_none_keeps_the_numbers() -> None:
    assert fit("none", INPUTS).apply(INPUTS).equal(INPUTS)


def test_unit_divides_pixels_by_255() -> None:
    pixels = torch.arange(256.0).reshape(16, 16)
    assert fit("unit", pixels).apply(pixels).equal(pixels / 255)


def test_center_has_mean_zero_for_each_feature_and_keeps_the_spread() -> None:
    scaled = fit("center", INPUTS).apply(INPUTS)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(4, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std(0), INPUTS.std(0))


def test_standardize_agrees_with_scikit_learn() -> None:
    expected = StandardScaler().fit_transform(INPUTS.flatten(1).double().numpy())
    found = fit("standardize", INPUTS).apply(INPUTS).flatten(1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("magnitude", [1e-25, 1e25])
def test_standardize_takes_features_of_any_unit(magnitude: float) -> None:
    scaled = fit("standardize", INPUTS * magnitude).apply(INPUTS * magnitude)
    torch.testing.assert_close(scaled, fit("standardize", INPUTS).apply(INPUTS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, -1234.567, 1e30])
def test_a_constant_feature_becomes_zero(value: float) -> None:
    inputs = INPUTS.clone()
    inputs[:, 1, 1] = value
    state = fit("standardize", inputs)
    assert state.scale[1, 1] == 1
    assert (state.apply(inputs)[:, 1, 1] == 0).all()


def test_unit_of_equal_inputs_keeps_them() -> None:
    assert fit("unit", torch.full((3, 2), 7.0)).apply(torch.full((3, 2), 7.0)).eq(7).all()


def test_a_state_rebuilt_from_its_tensors_scales_alike() -> None:
    state = fit("standardize", INPUTS)
    again = ScalingState(state.name, state.shift.clone(), state.scale.clone()).to("cpu")
    assert again.apply(INPUTS).equal(state.apply(INPUTS))
