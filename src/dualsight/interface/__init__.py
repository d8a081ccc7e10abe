"""People and programs: these modules print and parse; they compute nothing."""
