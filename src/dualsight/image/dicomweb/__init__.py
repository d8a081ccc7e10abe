"""A DICOMweb server as a source (PS3.18)."""
