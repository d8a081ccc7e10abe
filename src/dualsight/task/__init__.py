"""Embeddings to answers."""
