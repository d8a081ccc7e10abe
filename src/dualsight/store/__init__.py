"""Vectors of an archive, kept and searched: LanceDB, embedded, behind `Index`."""
