"""Whole-slide images and other TIFF pyramids → tiles that show tissue."""
