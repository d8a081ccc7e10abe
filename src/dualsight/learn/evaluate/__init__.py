"""How far a model's answers can be trusted, measured on labelled pictures of patients that nothing was fitted to."""
