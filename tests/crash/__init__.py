"""Real processes, killed at random moments, and an account of every person afterwards: `make test-crash`."""
