"""The page on which a user sees their sessions and ends them."""
