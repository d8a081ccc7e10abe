"""Who computes: runtimes behind one small interface."""
