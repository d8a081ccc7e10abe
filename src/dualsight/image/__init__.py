"""Any file to pixels: what a user points at, told by content, decoded to frames and prepared for the encoder."""
