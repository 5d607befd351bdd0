"""The releases that the project accepts of other packages, and what is known against them."""
