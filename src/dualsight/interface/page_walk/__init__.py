"""The walk of a picture and its texts through a model, as one self-contained HTML page."""
