"""Scalings of the inputs, fitted on the training examples and applied to all."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from raydnn.spec.base import Component, NameOrMapping, parameter


class NoScaling(Component):
    """Inputs stay as they are."""

    name: Literal["none"] = "none"


class Unit(Component):
    """All features are divided by the one range of the data, so that pixels from 0 to 255 end at 1."""

    formula: ClassVar[str] = "x ← x / (max − min), over all features"

    name: Literal["unit"] = "unit"


class Fitted(Component):
    """What has numbers of its own for each feature."""

    per: Literal["feature", "channel"] = parameter(
        "feature",
        "what has numbers of its own: each feature, which is a pixel of a picture; or each channel of pictures, over "
        "all their pixels, (H, W) being one channel",
    )


class MinMax(Fitted):
    """Each feature runs from 0 to 1; a constant one is 0."""

    formula: ClassVar[str] = "x ← (x − min) / (max − min), of each feature"
    source: ClassVar[str] = "sklearn.preprocessing.MinMaxScaler"

    name: Literal["minmax"] = "minmax"


class Center(Fitted):
    """Each feature has mean 0."""

    formula: ClassVar[str] = "x ← x − μ, of each feature"

    name: Literal["center"] = "center"


class Standardize(Fitted):
    """Each feature has mean 0 and deviation 1; a constant one is 0."""

    formula: ClassVar[str] = "x ← (x − μ) / σ, of each feature"
    source: ClassVar[str] = "LeCun et al. 1998, Efficient BackProp; sklearn.preprocessing.StandardScaler"

    name: Literal["standardize"] = "standardize"


class Whiten(Component):
    """Features of mean 0, uncorrelated and of variance 1: the principal components, or turned back (zca)."""

    formula: ClassVar[str] = (
        "pca: Λ^(−1/2) Vᵀ (x − μ), zca: V Λ^(−1/2) Vᵀ (x − μ), with λ + eps in place of λ"
    )
    source: ClassVar[str] = (
        "Krizhevsky 2009, appendix A; sklearn.decomposition.PCA(whiten=True), its variances over n − 1"
    )

    name: Literal["whiten"] = "whiten"
    method: Literal["pca", "zca"] = parameter(
        "pca", "pca: the components are the new features; zca: features as near the old ones as can be"
    )
    eps: float = parameter(
        1e-5, "added to the variance of each component", gt=0, search="loguniform(1e-6, 1)"
    )
    n_components: int | None = parameter(
        None, "components of largest variance that are kept; null: all of them", ge=1
    )


Scaling = Annotated[
    NoScaling | Unit | MinMax | Center | Standardize | Whiten, NameOrMapping, Field(discriminator="name")
]
