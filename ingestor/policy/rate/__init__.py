"""The rate that a service accepts, whatever kind of limiter refuses: a controller without I/O or clock."""
