"""Sample data: people on reserved domains, a campaign worth looking at, and Local SES's own record to compare with."""
