"""What ``wsgi-sessions doctor`` looks at: one module for each subject, and what each finds."""
