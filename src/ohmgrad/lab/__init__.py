"""Experiments over the library: tasks, recipes of every algorithm, comparison, tuning and their pictures."""
