"""An evaluation as one HTML page: tables and curves, which need nothing from outside."""
