"""Zone 3: from verdicts and scores to accuracies, choices and the database."""
