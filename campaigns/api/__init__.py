"""Templates and campaigns for programs."""
