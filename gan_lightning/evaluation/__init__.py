"""The evaluator: protocol, cache of real statistics, floor, reports."""
