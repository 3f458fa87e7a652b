"""Random numbers for tests, and a step's two networks at their smallest."""

import torch
from torch import nn

from gan_lightning.streams import generator
from tests.duel_step import duel_step


class Numbers:
    """Draws for `count` samples, the same for a purpose, rows `rows` of them."""

    def __init__(self, count, seed=0, rows=slice(None)):
        self.count, self.seed, self.rows = count, seed, rows

    def uniform(self, purpose, *shape):
        return torch.rand(self.count, *shape, generator=generator(self.seed, purpose, "u"))[self.rows]

    def normal(self, purpose, *shape):
        return torch.randn(self.count, *shape, generator=generator(self.seed, purpose, "n"))[self.rows]


class Fixed:
    """Draws that are the same for every sample: uniform numbers u, normal ones n."""

    def __init__(self, count, u=0.0, n=0.0):
        self.count, self.u, self.n = count, u, n

    def uniform(self, purpose, *shape):
        return torch.full((self.count, *shape), self.u)

    def normal(self, purpose, *shape):
        return torch.full((self.count, *shape), self.n)


class Images(nn.Module):
    """A generator of tiny images, linear in z."""

    latent_dim, num_classes, image_shape = 4, 0, (3, 8, 8)

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3 * 64)

    def forward(self, z, labels=None):
        return self.linear(z).reshape(-1, 3, 8, 8)


class Score(nn.Module):
    """A discriminator, curved so that gradients differ from place to place."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))

    def forward(self, images, labels=None):
        return self.layers(images)


def step(player="discriminator", augment=None, count=6, discriminator=None, generator=None, shared=frozenset(), **more):
    torch.manual_seed(0)
    generator, discriminator = generator or Images(), discriminator or Score()
    images = more.pop("images", None)
    images = torch.rand(count, 3, 8, 8) * 2 - 1 if images is None else images
    return duel_step(generator, discriminator, {"image": images}, player, shared, augment, **more)
