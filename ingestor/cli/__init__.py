"""The command line: arguments, help and messages."""
