"""What is HTML: plots, and the report of a batch. The page shares the plots and the styles."""
