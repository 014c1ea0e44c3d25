"""Speed is measured here, and nowhere else: no test is timed."""
