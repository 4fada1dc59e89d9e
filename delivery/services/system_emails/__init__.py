"""Handing the product's own mail over: through Django's mail backends, judged by the tables of the providers."""
