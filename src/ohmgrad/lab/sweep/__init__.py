"""Bayesian search of the hyperparameters of one learning rule; `ohmgrad tune` is the equal-budget search of all."""
