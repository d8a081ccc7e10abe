"""dualsight: the open, local way to use MedImageInsight."""
