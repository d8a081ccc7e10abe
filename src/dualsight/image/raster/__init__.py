"""Pictures: PNG, JPEG, TIFF, BMP, WebP and whatever else Pillow opens, in every mode and depth → frames."""
