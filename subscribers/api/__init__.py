"""Lists, subscribers and suppressions for programs."""
