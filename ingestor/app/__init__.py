"""Composes the parts: one session for all commands that send, one module for each command, and the library."""
