"""The processes of an installation as one supervised group."""
