"""Configuration files, shipped inside the package as gan_lightning.conf."""
