"""A model looked into: what it is made of and what it costs, and one picture and its texts walked through it."""
