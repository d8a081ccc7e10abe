"""Where in a picture an answer comes from: heat maps by several methods, how faithful they are, and attention."""
