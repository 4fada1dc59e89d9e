"""Local SES: Amazon SES v2 and SNS on your own machine, with an inbox to look at and faults on demand."""
