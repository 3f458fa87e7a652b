"""Former names of options, which are answered with the new names, and of keys in configurations of old runs.

A run's saved configuration contains the content of options but not their names, so only keys are translated.
"""

from __future__ import annotations

from typing import Any

FORMER = {
    "augment": {"ada_r3gan_cifar10": "ada_rising_p0.55", "ada_r3gan_ffhq": "ada_rising_p0.3"},
    "conditioning": {"r3gan": "projection_only"},
    "latents": {"logan": "optimized"},
    "loss": {"lsgan": "least_squares", "lsgan_pearson": "least_squares_pearson"},
    "optim": {
        "adam_biggan": "adam_g5e-5_d2e-4_b0_0.999",
        "adam_biggan_cifar10": "adam_b0_0.999",
        "adam_dragan": "adam_lr1e-4_b0.5_0.9",
        "adam_infogan": "adam_g1e-3_d2e-4",
        "adam_lsgan": "adam_lr1e-3_b0.5_0.99",
        "adam_mixture": "adam_lr2e-3_b0.5_0.9",
        "adam_pacgan": "adam_lr1e-4_b0.8_0.999",
        "adam_progan": "adam_lr1e-3_b0_0.99",
        "adam_r3gan": "adam_b0_0.9",
        "adam_reacgan": "adam_lr2.83e-4",
        "adam_sngan": "adam_b0_0.9",
        "adam_stylegan2": "adam_lr2e-3_b0_0.99",
        "adam_stylegan2_ada": "adam_lr2.5e-3_b0_0.99",
        "adam_wgan_gp": "adam_b0_0.9",
    },
    "regularizer": {
        "latent_consistency_biggan": "latent_consistency_w20_std0.05",
        "r1_r2_mode_coverage": "r1_r2_w0.3",
        "r1_r2_r3gan_ffhq256": "r1_r2_annealed_w150",
        "r1_r2_r3gan_ffhq64": "r1_r2_annealed_w2",
        "r1_stylegan2_ada_cifar10": "r1_lazy_w0.01",
        "r1_stylegan2_diffaugment_cifar10": "r1_lazy_w0.1",
    },
}


def now_called(group: str, option: str) -> str | None:
    """Return the present name of a group's option, None if `option` is not a former name."""
    return FORMER.get(group, {}).get(option)


KEYS = {("gan_lightning.regularizers.Orthogonal", "player"): "role"}  # (class, former key) -> present key


def translated(node: Any) -> Any:
    """Return a configuration in plain containers with the present keys of its objects."""
    if isinstance(node, list):
        return [translated(child) for child in node]
    if not isinstance(node, dict):
        return node
    target = str(node.get("_target_"))
    return {KEYS.get((target, str(name)), name): translated(child) for name, child in node.items()}
