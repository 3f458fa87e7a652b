"""DCGAN by the numbers of dcgan/main.py of pytorch/examples, its authors' Torch code in PyTorch, at the recipe's.

Its other norms and conditions, and the MLPs of the first GAN and of points, are held to formulas in this file.
"""

import pytest
import torch
from recipe import fill, images, latents, near, numbers, told
from torch.nn.functional import batch_norm, conv2d, conv_transpose2d, group_norm, leaky_relu, linear, normalize, relu

from gan_lightning.networks import (
    DCGANBackbone,
    DCGANGenerator,
    Discriminator,
    MLP2dBackbone,
    MLP2dGenerator,
    MLPBackbone,
    MLPGenerator,
)


def test_generator():
    assert told(fill(DCGANGenerator(64, 3, latent_dim=6, width=4)), latents(3, 6)) == near(
        [-0.010284491429, 0.14778512975, 0.063652968741, 0.014818204113, 0.014823232663, 0.014668270254],
        [0.94489263432, 321.191881],
    )


def test_discriminator():
    assert told(fill(Discriminator(DCGANBackbone(64, 3, width=2))), images(3, 3, 64, 64)) == near(
        [0.18367575221, 0.077627888787, 0.29123578259, 0.29123578259, 0.11086251412, 0.14892895991],
        [0.72093835042, 12.971654666],
    )


def same(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def values(network):
    return iter([*network.state_dict().values()])


def test_generator_with_conditional_batch_norm():
    network = fill(DCGANGenerator(16, 3, num_classes=3, latent_dim=6, width=4, conditioning="batch_norm"))
    z, labels, state = latents(3, 6), torch.tensor([2, 0, 1]), values(network)
    maps = conv_transpose2d(z[:, :, None, None], next(state))
    for _ in range(2):
        mean, variance, _, gain, shift = (next(state) for _ in range(5))
        maps = (maps - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
        maps = maps * (1 + gain.T[labels])[:, :, None, None] + shift.T[labels][:, :, None, None]
        maps = conv_transpose2d(relu(maps), next(state), stride=2, padding=1)
    same(network(z, labels), maps.tanh())


def test_discriminator_with_layer_norm():
    network, x = fill(Discriminator(DCGANBackbone(16, 3, width=4, norm="layer"))), images(3, 3, 16, 16)
    state = values(network)
    maps = leaky_relu(conv2d(x, next(state), stride=2, padding=1), 0.2)
    maps = conv2d(maps, next(state), stride=2, padding=1)
    maps = leaky_relu(group_norm(maps, 1, next(state), next(state), 1e-5), 0.2)
    same(network(x).logits, linear(maps.permute(0, 2, 3, 1).flatten(1), next(state)).squeeze(1))


def over_norm(bias, weight, u):
    """Return the weight over what one iteration from `u` takes for its largest singular value, and the bias."""
    matrix = weight.flatten(1)
    v = normalize(u @ matrix, dim=0)
    return weight / (matrix @ v).norm(), bias


def test_discriminator_with_spectral_norm():
    network = fill(Discriminator(DCGANBackbone(16, 3, width=4, norm="none", spectral_norm=True)))
    state, maps = values(network), images(3, 3, 16, 16)
    first, u = next(state), next(state)
    maps = leaky_relu(conv2d(maps, over_norm(None, first, u)[0], stride=2, padding=1), 0.2)
    maps = leaky_relu(conv2d(maps, *over_norm(next(state), next(state), next(state)), stride=2, padding=1), 0.2)
    weights = over_norm(next(state), next(state), next(state))
    same(network(images(3, 3, 16, 16)).logits, linear(maps.permute(0, 2, 3, 1).flatten(1), *weights).squeeze(1))


# Networks without convolutions ---------------------------------------------------------------------------------------


def test_mlp_generator():
    network, z = fill(MLPGenerator(4, 3, num_classes=3, latent_dim=6, hidden=(8, 7))), latents(3, 6)
    state, codes = values(network), torch.eye(3, dtype=z.dtype)[[2, 0, 1]]
    hidden = relu(linear(torch.cat([z, codes], 1), next(state), next(state)))
    hidden = relu(linear(hidden, next(state), next(state)))
    pixels = 2 * linear(hidden, next(state), next(state)).sigmoid() - 1
    same(network(z, torch.tensor([2, 0, 1])), pixels.reshape(3, 3, 4, 4))


def maxout(inputs, weight, bias, pieces):
    return linear(inputs, weight, bias).reshape(len(inputs), -1, pieces).max(2)[0]


def test_mlp_discriminator():
    network, x = fill(Discriminator(MLPBackbone(4, 3, hidden=(6, 5), pieces=3))), images(3, 3, 4, 4)
    state = values(network)
    hidden = maxout(maxout(x.flatten(1), next(state), next(state), 3), next(state), next(state), 3)
    same(network(x).logits, linear(hidden, next(state), next(state)).squeeze(1))
    layers, ones = network.train().backbone.layers, torch.ones(20_000, 3, 4, 4, dtype=x.dtype)
    zeros = [(part(ones) == 0).double().mean().item() for part in (layers[:2], layers)]
    assert zeros == pytest.approx([0.2, 0.5], abs=0.01)  # of the pixels, of the last hidden units


def test_mlp2d_generator():
    network, z = fill(MLP2dGenerator(latent_dim=3, width=6, depth=2, norm="batch")), latents(3, 3)
    state, hidden = values(network), z
    for _ in range(2):
        hidden = linear(hidden, next(state), next(state))
        gain, shift, mean, variance, _ = (next(state) for _ in range(5))
        hidden = relu(batch_norm(hidden, mean, variance, gain, shift, eps=1e-5))
    same(network(z), linear(hidden, next(state), next(state)))


def test_mlp2d_discriminators():
    points = numbers(5, 2)
    network = fill(Discriminator(MLP2dBackbone(width=6, depth=2)))
    state = values(network)
    hidden = relu(linear(relu(linear(points, next(state), next(state))), next(state), next(state)))
    same(network(points).logits, linear(hidden, next(state), next(state)).squeeze(1))
    network = fill(Discriminator(MLP2dBackbone(width=6, depth=2, pieces=3)))
    state = values(network)
    hidden = maxout(maxout(points, next(state), next(state), 3), next(state), next(state), 3)
    same(network(points).logits, linear(hidden, next(state), next(state)).squeeze(1))
