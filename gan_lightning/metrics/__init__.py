"""Metrics of generated samples, and the networks whose features they compare."""
