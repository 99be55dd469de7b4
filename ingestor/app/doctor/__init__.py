"""`ingestor doctor` finds what is wrong with a set-up. It sends searches only, and writes nothing."""
