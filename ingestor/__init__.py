"""Brings the history of ML experiments into Oracle AI Data Platform."""

__version__ = "0.1.0"
