"""What others send us: SNS now; plain verification apart from what is done with it."""
