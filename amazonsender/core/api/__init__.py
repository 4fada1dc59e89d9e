"""What every endpoint under /api/ shares: problem details, JSON bodies, pages, the schema."""
