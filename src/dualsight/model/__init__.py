"""The mathematics: pixels and tokens to embeddings, in torch alone. No files, devices or logging."""
