"""Noise schedule of diffusion in few steps, and its samplers as pure functions.

A mask x_0 is noised by ``x_k = √ᾱ_k·x_0 + √(1−ᾱ_k)·ε`` at steps k = 1 … K (0 is no noise); samplers go one step back.

References
----------
Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020 (DDPM; β from 1e-4 to 0.02).
Song et al., "Denoising Diffusion Implicit Models", ICLR 2021 (DDIM, eq. 12 and 16).
Nichol, Dhariwal, "Improved Denoising Diffusion Probabilistic Models", ICML 2021 (the resampled schedule).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

FIRST_BETA, LAST_BETA = 1e-4, 0.02

Variance = Literal["posterior", "large"]


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """How much of a mask remains at each step.

    Attributes
    ----------
    alpha_bar
        (K + 1,) float64: ᾱ_0 = 1, ᾱ_1 … ᾱ_K. The other arrays follow from it and have the same index k; their entry
        0 is not used.
    """

    alpha_bar: Tensor

    @classmethod
    def resampled(cls, steps: int, points: int) -> NoiseSchedule:
        """Return a schedule of K = ``steps`` evenly spaced points of a full one of ``points``, first and last included.

        ᾱ is taken over and β follows from it, so few steps reach as much noise as many. A single step is the last.
        """
        # float64: 1 − ᾱ loses digits where ᾱ is close to 1.
        beta = torch.linspace(FIRST_BETA, LAST_BETA, points, dtype=torch.float64)
        kept = (1.0 - beta).cumprod(0)[kept_points(steps, points)]
        return cls(torch.cat([torch.ones(1, dtype=torch.float64), kept]))

    @property
    def steps(self) -> int:
        """Number of steps K."""
        return len(self.alpha_bar) - 1

    @property
    def beta(self) -> Tensor:
        """β_k = 1 − ᾱ_k/ᾱ_{k−1}."""
        return 1.0 - self.alpha_bar / self._before

    @property
    def posterior_variance(self) -> Tensor:
        """β̃_k = β_k (1−ᾱ_{k−1})/(1−ᾱ_k)."""
        return self.beta * (1.0 - self._before) / self._noise_power

    @property
    def from_mask(self) -> Tensor:
        """Factor of x_0 in the mean of the posterior, β_k √ᾱ_{k−1}/(1−ᾱ_k)."""
        return self.beta * self._before.sqrt() / self._noise_power

    @property
    def from_noisy(self) -> Tensor:
        """Factor of x_k in the mean of the posterior, √α_k (1−ᾱ_{k−1})/(1−ᾱ_k)."""
        return (1.0 - self.beta).sqrt() * (1.0 - self._before) / self._noise_power

    @property
    def noise_level(self) -> Tensor:
        """√(1−ᾱ_k), the factor of the noise."""
        return (1.0 - self.alpha_bar).sqrt()

    @property
    def _before(self) -> Tensor:
        return torch.cat([self.alpha_bar[:1], self.alpha_bar[:-1]])

    @property
    def _noise_power(self) -> Tensor:
        return torch.cat([torch.ones(1, dtype=torch.float64), 1.0 - self.alpha_bar[1:]])

    def noised(self, x_0: Tensor, k: Tensor, noise: Tensor) -> Tensor:
        """Return x_k = √ᾱ_k·x_0 + √(1−ᾱ_k)·ε; masks (B, K, Z, Y, X), steps ``k`` (B,)."""
        return _each(self.alpha_bar.sqrt(), k, x_0) * x_0 + _each(self.noise_level, k, x_0) * noise

    def implied(self, x_k: Tensor, k: Tensor, noise: Tensor) -> Tensor:
        """Return the mask that ``noise`` implies, x_0 = x_k/√ᾱ_k − √(1/ᾱ_k − 1)·ε: the inverse of ``noised``."""
        return _each(self.alpha_bar.rsqrt(), k, x_k) * x_k - _each((1 / self.alpha_bar - 1).sqrt(), k, x_k) * noise

    def ddpm(self, x_0: Tensor, x_k: Tensor, k: int, variance: Variance = "posterior") -> tuple[Tensor, float]:
        """Return mean and standard deviation of x_{k−1}; at k = 1 the mean is x_0 and the deviation 0."""
        # Mean of the posterior q(x_{k−1} | x_k, x_0).
        mean = float(self.from_mask[k]) * x_0 + float(self.from_noisy[k]) * x_k
        if k == 1:
            return mean, 0.0
        chosen = self.beta if variance == "large" else self.posterior_variance
        return mean, float(chosen[k].sqrt())

    def ddim(self, x_0: Tensor, x_k: Tensor, k: int, eta: float = 0.0) -> tuple[Tensor, float]:
        """Return mean and standard deviation of x_{k−1}; 0 for ``eta`` 0, that of the DDPM posterior for 1."""
        here, before = float(self.alpha_bar[k]), float(self.alpha_bar[k - 1])
        # DDIM eq. 12 and 16: the noise that x_0 implies, and the standard deviation.
        noise = (x_k / here**0.5 - x_0) / (1 / here - 1) ** 0.5
        deviation = eta * float(self.posterior_variance[k].sqrt())
        return before**0.5 * x_0 + max(0.0, 1 - before - deviation**2) ** 0.5 * noise, deviation


def kept_points(steps: int, points: int) -> list[int]:
    """Return which points of a schedule are kept, counted from 0: evenly spaced, first and last included.

    Examples
    --------
    >>> kept_points(5, 1001)
    [0, 250, 500, 750, 1000]
    >>> kept_points(5, 1000)
    [0, 250, 499, 749, 999]
    """
    if steps == 1:
        return [points - 1]
    # Rounded in the printed count t_1 = 1 … t_K = T, then counted from 0.
    return [round(1 + (points - 1) * i / (steps - 1)) - 1 for i in range(steps)]


def _each(values: Tensor, k: Tensor, like: Tensor) -> Tensor:
    """Return the value of each window's step, (B, 1, 1, 1, 1), in the type and on the device of ``like``."""
    return values[k.cpu()].to(like)[:, None, None, None, None]
