"""What fills a feature store: one module per data set. Public names: none; see the modules."""
