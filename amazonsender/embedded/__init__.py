"""PostgreSQL, Valkey and Local SES for a laptop or a test run, with nothing installed but Python.

Plain Python without Django: it prepares the environment that the settings read, and starts the rest in it. Servers in
production run the same processes on real services and never import this package.
"""
