"""The most attempts in flight: a limit for a service that queues, and for one that refuses by their number."""
