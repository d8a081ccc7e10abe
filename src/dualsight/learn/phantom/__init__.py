"""Procedural pictures with findings, captions and masks."""
