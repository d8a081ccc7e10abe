"""Volumes: NIfTI, MetaImage, NRRD and DICOM series → voxels in one stated orientation → slices."""
