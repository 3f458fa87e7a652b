"""The evaluator: protocol, cache of real statistics, floor (scores of real images), reports."""
