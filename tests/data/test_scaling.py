from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.decomposition import PCA
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from raydnn.data.scaling import FITS, ScalingState
from raydnn.data.scaling import fit as fit_spec
from raydnn.errors import JobError
from raydnn.spec.catalogue.kinds import components

INPUTS = torch.from_numpy(np.random.default_rng(0).normal(3, 5, (200, 4, 3)).astype(np.float32))
MIXED = INPUTS.flatten(1) @ torch.from_numpy(
    np.random.default_rng(1).normal(size=(12, 12)).astype(np.float32)
)
"""Correlated features."""


def fit(name: str, inputs: torch.Tensor, **fields: Any) -> ScalingState:
    return fit_spec(components("scaling")[name](name=name, **fields), inputs)  # type: ignore[arg-type]


def test_every_scaling_has_its_function() -> None:
    assert set(FITS) == set(components("scaling"))


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
    for name in FITS:
        state = fit(name, given_inputs)
        scaled = state.apply(given_inputs)
        assert scaled.dtype == torch.float32
        assert scaled.isfinite().all()
        assert (state.scale != 0).all()
        if state.matrix is None:
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


def test_minmax_agrees_with_scikit_learn_and_keeps_to_the_training_range() -> None:
    scaler = MinMaxScaler().fit(INPUTS[:150].flatten(1).double().numpy())
    state = fit("minmax", INPUTS[:150])
    expected = scaler.transform(INPUTS.flatten(1).double().numpy())
    np.testing.assert_allclose(state.apply(INPUTS).flatten(1), expected, rtol=1e-5, atol=1e-6)
    assert state.apply(INPUTS[:150]).amin(0).eq(0).all()
    assert state.apply(INPUTS[:150]).amax(0).eq(1).all()


@pytest.mark.parametrize("kept", [None, 1, 5])
def test_pca_agrees_with_scikit_learn(kept: int | None) -> None:
    expected = PCA(kept, whiten=True, svd_solver="full").fit_transform(MIXED.double().numpy())
    state = fit("whiten", MIXED.unflatten(1, (4, 3)), eps=1e-12, n_components=kept)
    found = state.apply(MIXED.unflatten(1, (4, 3)))
    assert found.shape == (200, kept or 12)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_zca_keeps_the_shape_and_is_the_symmetric_whitening() -> None:
    images = MIXED.unflatten(1, (4, 3))
    scaled = fit("whiten", images, method="zca", eps=1e-12).apply(images)
    assert scaled.shape == images.shape
    centered = (MIXED - MIXED.mean(0)).double().numpy()
    variances, axes = np.linalg.eigh(np.cov(centered, rowvar=False))
    expected = centered @ axes @ np.diag(variances**-0.5) @ axes.T
    np.testing.assert_allclose(scaled.flatten(1), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(np.cov(scaled.flatten(1), rowvar=False), np.eye(12), atol=1e-3)


def test_zca_of_few_components_has_their_rank() -> None:
    images = MIXED.unflatten(1, (4, 3))
    scaled = fit("whiten", images, method="zca", n_components=3).apply(images)
    assert scaled.shape == images.shape
    assert torch.linalg.matrix_rank(scaled.flatten(1), atol=1e-3) == 3


def test_eps_holds_a_component_of_little_variance_down() -> None:
    inputs = torch.tensor([[1.0, 1e-3], [-1.0, 1e-3], [1.0, -1e-3], [-1.0, -1e-3]])
    scaled = fit("whiten", inputs, eps=1e-2).apply(inputs)
    np.testing.assert_allclose(scaled.abs()[0], [np.sqrt(1 / (4 / 3 + 1e-2)), 1e-2], rtol=1e-3)


def test_more_components_than_features_are_refused() -> None:
    message = "data.scaling.n_components: 13 is given; the inputs have 12 features"
    with pytest.raises(JobError, match=message):
        fit("whiten", INPUTS, n_components=13)


@pytest.mark.parametrize("name", ["standardize", "minmax"])
@pytest.mark.parametrize("value", [0.0, 0.1, -1234.567, 1e30])
def test_a_constant_feature_becomes_zero(value: float, name: str) -> None:
    inputs = INPUTS.clone()
    inputs[:, 1, 1] = value
    state = fit(name, inputs)
    assert state.scale[1, 1] == 1
    assert (state.apply(inputs)[:, 1, 1] == 0).all()


def test_unit_of_equal_inputs_keeps_them() -> None:
    assert fit("unit", torch.full((3, 2), 7.0)).apply(torch.full((3, 2), 7.0)).eq(7).all()


@pytest.mark.parametrize("name", sorted(FITS))
def test_a_state_rebuilt_from_its_tensors_scales_alike(name: str) -> None:
    state = fit(name, INPUTS)
    again = ScalingState(state.name, **{key: t.clone() for key, t in state.tensors().items()}).to("cpu")
    assert again.apply(INPUTS).equal(state.apply(INPUTS))


COLORS = torch.from_numpy(np.random.default_rng(2).normal(3, 5, (200, 3, 4, 6)).astype(np.float32))
COLORS[:, 1] *= 1e3
COLORS[:, 2] = 7.7
PER_CHANNEL = ["center", "minmax", "standardize"]


def test_what_is_fitted_for_each_feature_can_be_for_each_channel() -> None:
    assert (
        sorted(name for name, cls in components("scaling").items() if "per" in cls.model_fields)
        == PER_CHANNEL
    )


@pytest.mark.parametrize("name", PER_CHANNEL)
@pytest.mark.parametrize("inputs", [COLORS, COLORS.double(), COLORS[:, 0]], ids=["color", "double", "grey"])
def test_a_channel_is_scaled_as_scikit_learn_scales_a_column_of_all_its_pixels(
    name: str, inputs: torch.Tensor
) -> None:
    state = fit(name, inputs, per="channel")
    assert state.shift.dtype == state.scale.dtype == inputs.dtype
    assert state.shift.shape == state.scale.shape == ((3, 1, 1) if inputs.dim() == 4 else (1, 1))
    channels = inputs if inputs.dim() == 4 else inputs.unsqueeze(1)
    columns = channels.movedim(1, -1).reshape(-1, channels.shape[1]).double().numpy()
    scaler = {
        "center": StandardScaler(with_std=False),
        "minmax": MinMaxScaler(),
        "standardize": StandardScaler(),
    }[name]
    expected = scaler.fit_transform(columns).reshape(channels.movedim(1, -1).shape)
    found = state.apply(inputs).view(channels.shape).movedim(1, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3 if name == "center" else 1e-5)
    torch.testing.assert_close(state.undone(state.apply(inputs)), inputs, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", PER_CHANNEL)
@pytest.mark.parametrize(("shape", "told"), [((5,), "5"), ((2, 3, 4, 5), "2 × 3 × 4 × 5")])
def test_a_table_has_no_channels(name: str, shape: tuple[int, ...], told: str) -> None:
    message = (
        f"data.scaling.per: channel with examples of {told} numbers, which have no channels; allowed: feature"
    )
    with pytest.raises(JobError) as error:
        fit(name, torch.rand(9, *shape), per="channel")
    assert str(error.value) == message


def test_a_row_of_features_is_fitted_as_it_was_before_there_were_channels() -> None:
    assert fit("standardize", INPUTS, per="feature").scale.shape == (4, 3)
