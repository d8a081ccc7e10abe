"""An archive on many machines: the only home of Ray beside its HTTP deployment."""
