"""Events by each of the three ways into a running installation that is killed meanwhile, and the account of them."""
