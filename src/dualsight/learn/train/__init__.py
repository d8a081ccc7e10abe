"""Fine-tuning: pairs of pictures and texts, and a recipe → a checkpoint of the official layout."""
