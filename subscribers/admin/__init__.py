from subscribers.admin import attributes, imports, jumps, lists, people, person, suppressions

__all__ = ["attributes", "imports", "jumps", "lists", "people", "person", "suppressions"]
