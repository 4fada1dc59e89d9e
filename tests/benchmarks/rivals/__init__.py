"""Other ways to send the same newsletter to the same people, each configured as its documentation advises.

Each runs in a process of its own (`python -m tests.benchmarks.rivals NAME COUNT`) with production settings, reads the
people from the same table and sends to the same provider stub. What they do less than the product is left out in their
favour: no consent check, no rate limit, no tracked links, no record of who got what but their own.
"""
