"""System checks that refuse a dangerous configuration and say what to set."""
