"""Sweeps: one process for each run, the result that a run writes, the table at the end, and search by Optuna."""
