"""Who calls the API, and what every endpoint of an organization shares."""
