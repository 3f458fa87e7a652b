"""Using a trained generator: load, sample, save, export."""
