"""The scenarios: each file makes its inputs, runs its competitors in turn and returns an outcome."""
