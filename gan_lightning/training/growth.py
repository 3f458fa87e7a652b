"""The schedule by which progressive networks grow, in images seen. Karras et al. 2017, arXiv 1710.10196."""

from __future__ import annotations

from dataclasses import dataclass

from gan_lightning.errors import UserError


@dataclass(frozen=True)
class Growth:
    """Each resolution is trained for a while, then the next one is faded in, up to the full size.

    stable_kimg: thousands of images for which a resolution is trained.
    fade_kimg: thousands of images in which the next one's weight rises from 0 to 1; 0 switches at once.
    start_resolution: pixels of the first resolution, a power of two from 4.
    """

    fade_kimg: float = 600.0
    stable_kimg: float = 600.0
    start_resolution: int = 4

    def __post_init__(self) -> None:
        """Raise UserError for a schedule that does not advance or has an invalid start."""
        if self.fade_kimg < 0 or self.stable_kimg < 0 or not self.fade_kimg + self.stable_kimg:
            raise UserError(
                f"growth.fade_kimg={self.fade_kimg} and growth.stable_kimg={self.stable_kimg} are thousands of images: "
                "neither is below 0, and one is above."
            )
        if self.start_resolution < 4 or self.start_resolution & (self.start_resolution - 1):
            raise UserError(f"growth.start_resolution={self.start_resolution} is no power of two from 4.")

    def at(self, images_seen: int, num_stages: int) -> tuple[int, float]:
        """Return (stage, alpha) after `images_seen` images; stage k of `num_stages` has 4 * 2^k pixels."""
        first, last = self.start_resolution.bit_length() - 3, num_stages - 1
        if first > last:
            raise UserError(
                f"growth.start_resolution={self.start_resolution} is larger than the images: set it to "
                f"{2 ** (last + 2)} or below."
            )
        stable, fade = 1000 * self.stable_kimg, 1000 * self.fade_kimg
        phases, images = divmod(images_seen, stable + fade)
        stage = first + int(phases)
        if stage >= last:
            return last, 1.0
        if images < stable:
            return stage, 1.0
        return stage + 1, (images - stable) / fade
