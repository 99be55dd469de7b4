"""Where the parts are put together: one session for all that send, a module a command, and the library."""
