"""The loops that gan-lightning is measured against, as plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

Block = Callable[[int], None]


def adam(network: nn.Module) -> torch.optim.Adam:
    """Return the optimiser that all contenders use."""
    return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))


def tutorial(generator: nn.Module, discriminator: nn.Module, batch: Tensor) -> Block:
    """DCGAN as tutorials write it: sigmoid and BCELoss, `.item()` every step, the discriminator never frozen."""
    criterion, optimizer_d, optimizer_g = nn.BCELoss(), adam(discriminator), adam(generator)
    latent_dim, history = generator.latent_dim, []

    def block(steps: int) -> None:
        for _ in range(steps):
            real = batch.float() / 127.5 - 1
            discriminator.zero_grad()
            label = torch.full((len(real),), 1.0)
            output = torch.sigmoid(discriminator(real).logits).view(-1)
            loss_real = criterion(output, label)
            loss_real.backward()
            d_x = output.mean().item()
            fake = generator(torch.randn(len(real), latent_dim))
            label.fill_(0.0)
            output = torch.sigmoid(discriminator(fake.detach()).logits).view(-1)
            loss_fake = criterion(output, label)
            loss_fake.backward()
            d_g_z1 = output.mean().item()
            optimizer_d.step()
            generator.zero_grad()
            label.fill_(1.0)
            output = torch.sigmoid(discriminator(fake).logits).view(-1)
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
    optimizer_d, optimizer_g = adam(discriminator), adam(generator)
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
