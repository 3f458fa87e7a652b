"""The loops that gan-lightning is measured against, as plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

Block = Callable[[int], None]


def adam(network: nn.Module, fused: bool | None = None) -> torch.optim.Adam:
    """Return the optimiser that all contenders use, in PyTorch's default form unless told otherwise."""
    return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=fused)


class TutorialGenerator(nn.Sequential):
    """DCGAN's generator as tutorials write it; as many parameters as ours."""

    latent_dim = 100

    def __init__(self, size: int, channels: int, width: int = 64) -> None:
        widths = [width * 2**k for k in range(size.bit_length() - 3)][::-1]
        layers: list[nn.Module] = [nn.ConvTranspose2d(self.latent_dim, widths[0], 4, 1, 0, bias=False)]
        for before, after in zip(widths, [*widths[1:], channels], strict=True):
            layers += [nn.BatchNorm2d(before), nn.ReLU(True), nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
        super().__init__(*layers, nn.Tanh())


class TutorialDiscriminator(nn.Sequential):
    """DCGAN's discriminator as tutorials write it; as many parameters as ours."""

    def __init__(self, size: int, channels: int, width: int = 64) -> None:
        widths = [width * 2**k for k in range(size.bit_length() - 3)]
        layers: list[nn.Module] = []
        for before, after in zip([channels, *widths], widths, strict=False):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(after)] if layers[1:] else []
            layers += [nn.LeakyReLU(0.2, inplace=True)]
        super().__init__(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=False), nn.Sigmoid())


def tutorial(generator: nn.Module, discriminator: nn.Module, batch: Tensor) -> Block:
    """DCGAN as tutorials write it: BCELoss, `.item()` every step, the discriminator never frozen."""
    criterion, optimizer_d, optimizer_g = nn.BCELoss(), adam(discriminator), adam(generator)
    latent_dim, history = generator.latent_dim, []

    def block(steps: int) -> None:
        for _ in range(steps):
            real = batch.float() / 127.5 - 1
            discriminator.zero_grad()
            label = torch.full((len(real),), 1.0)
            output = discriminator(real).view(-1)
            loss_real = criterion(output, label)
            loss_real.backward()
            d_x = output.mean().item()
            fake = generator(torch.randn(len(real), latent_dim, 1, 1))
            label.fill_(0.0)
            output = discriminator(fake.detach()).view(-1)
            loss_fake = criterion(output, label)
            loss_fake.backward()
            d_g_z1 = output.mean().item()
            optimizer_d.step()
            generator.zero_grad()
            label.fill_(1.0)
            output = discriminator(fake).view(-1)
            loss_g = criterion(output, label)
            loss_g.backward()
            d_g_z2 = output.mean().item()
            optimizer_g.step()
            history.append(((loss_real + loss_fake).item(), loss_g.item(), d_x, d_g_z1, d_g_z2))

    return block


def bare(generator: nn.Module, discriminator: nn.Module, batch: Tensor, channels_last: bool = False) -> Block:
    """The step that the engine takes, by hand: fakes made once, the discriminator frozen for the generator's turn."""
    if channels_last:
        generator.to(memory_format=torch.channels_last)
        discriminator.to(memory_format=torch.channels_last)
    optimizer_d, optimizer_g = adam(discriminator, fused=True), adam(generator, fused=True)
    latent_dim = generator.latent_dim
    average = [p.detach().clone() for p in generator.parameters()]

    def block(steps: int) -> None:
        for _ in range(steps):
            real = batch.float().div_(127.5).sub_(1) if batch.dtype == torch.uint8 else batch
            if channels_last:
                real = real.contiguous(memory_format=torch.channels_last)
            fake = generator(torch.randn(len(real), latent_dim))
            discriminator.requires_grad_(True)
            optimizer_d.zero_grad()
            loss = softplus(-discriminator(real).logits).mean() + softplus(discriminator(fake.detach()).logits).mean()
            loss.backward()
            optimizer_d.step()
            discriminator.requires_grad_(False)
            optimizer_g.zero_grad()
            softplus(-discriminator(fake).logits).mean().backward()
            optimizer_g.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, list(generator.parameters()), 0.01)

    return block
