"""Chains whose physics is known: the limits of their potentials, and mobility edges that part the states."""

import numpy as np
import pytest
import torch

from studies.problems.anderson import CHAINS, eigenstates


@pytest.mark.parametrize("name", CHAINS)
def test_theory_parts_the_states(name):
    chain = CHAINS[name]
    states = eigenstates(chain, 5, torch.Generator().manual_seed(0), sites=233)
    assert states.energy.shape == (5 * 233,)
    assert ((states.dimension >= -1e-9) & (states.dimension <= 1)).all()
    below = states.energy < chain.edge(*states.parameters.T)
    assert (below == (states.extended == chain.extended_below)).mean() > 0.9


def test_the_chains_are_what_they_are_called():
    free = CHAINS["GAAM"].matrix(50, 0.3, 0.0, 0.5)
    wave = 2 * np.cos(np.pi * np.arange(1, 51) / 51)
    np.testing.assert_allclose(np.sort(np.linalg.eigvalsh(free)), np.sort(wave), atol=1e-12)
    near = CHAINS["MAAM"].matrix(50, 0.3, 0.7, 30.0)
    b = (np.sqrt(5) - 1) / 2
    cosines = np.cos(2 * np.pi * b * np.arange(50) + 0.3)
    np.testing.assert_allclose(near, CHAINS["GAAM"].matrix(50, 0.3, 0.35, 0.0), atol=1e-12)  # only neighbours are left
    np.testing.assert_allclose(np.diag(near), 0.7 * cosines)
    mosaic = CHAINS["mosaic"].matrix(50, 0.3, 0.7)
    np.testing.assert_allclose(np.diag(mosaic)[::2], 1.4 * cosines[::2])
    assert not np.diag(mosaic)[1::2].any()


def test_aubry_andre_duality():
    """Without alpha all states are extended below lambda = 1 and localised above."""
    for lam, extended in ((0.5, 1.0), (2.0, 0.0)):
        vectors = np.linalg.eigh(CHAINS["GAAM"].matrix(377, 0.1, lam, 0.0))[1]
        dimension = -np.log((vectors**4).sum(0)) / np.log(377)
        assert (dimension > 0.5).mean() == pytest.approx(extended, abs=0.05)
