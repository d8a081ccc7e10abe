"""Pictures: PNG, JPEG, TIFF, BMP, WebP, GIF, PNM, JPEG 2000 and AVIF, in every mode and depth → frames."""
