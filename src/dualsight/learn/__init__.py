"""Answers that improve: losses, metrics, training, phantoms."""
