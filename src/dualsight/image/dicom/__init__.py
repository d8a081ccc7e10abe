"""DICOM: header, stored frames, tables and windows, as a radiologist's viewer would show them."""
