"""Arrays in, numbers out: metrics, AUC, the mismatch model and statistics."""
