"""The works: each file makes its inputs, runs its competitors in turn, and says what came out."""
