"""A laboratory for the control of sending: clients and a service with limiters, on virtual time.

`simulation` runs it. `cases` has the limiters that are tried, `oracle` the best constant rate for each, `outcome` the
requirements, `changes` limits that fall and rise, and several clients on one limit, and `slow_answers` a service that
answers late or never. `make bench-rate` runs all of it.
"""
