"""What fills a feature store: one module per data set."""
