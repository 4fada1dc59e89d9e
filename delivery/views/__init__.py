"""Readers' pages: no login, no cookies, no script. A GET changes nothing but counts."""
