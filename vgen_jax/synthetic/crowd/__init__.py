"""Several objects, some of them with labelled anomalies."""
