"""What DNS says of a sending domain, and what it should say. Plain Python: no Django, no sentences for people."""
