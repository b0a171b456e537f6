"""What users want done: one function per intention, each loads, decides, and records."""
