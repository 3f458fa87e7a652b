"""One duel's step for tests that need no game around it."""

from gan_lightning.losses import NonSaturating, Relativistic
from gan_lightning.modules.duel import Duel
from gan_lightning.training.engine import joined
from gan_lightning.training.memory import identities
from gan_lightning.training.step import Step, Turn


def duel_step(
    generator,
    discriminator,
    batch,
    player="",
    differentiates=frozenset(),
    augment=None,
    latent_optimizer=None,
    pairs_classes=False,
    **options,
):
    """Return how a duel of the two sees a step on `batch`, in the turn of `player` if one is named."""
    loss = Relativistic() if pairs_classes else NonSaturating()
    duel = Duel(generator, discriminator, loss, augment=augment, latent_optimization=latent_optimizer)
    made = duel.at(Step(batch, **options))
    return begin(made, player, differentiates) if player else made


def begin(seen, player, differentiates=frozenset()):
    """Begin the turn of `player`, whose parameters alone are trained in it, as the engine does."""
    networks = {"generator": seen.generator, "discriminator": seen.discriminator}
    for name, network in networks.items():
        for parameter in parameters_of(network):
            parameter.requires_grad_(name == player)
    movers = identities(parameters_of(networks[player]))
    seen.step.begin(Turn(player, movers, differentiates=frozenset(differentiates)))
    return seen


def moved(seen, player):
    """Tell the step's memory that `player` has moved."""
    seen.step.memory.moved(identities(parameters_of(getattr(seen, player))))


def parameters_of(network):
    return joined(network.parameters()) if hasattr(network, "parameters") else ()
