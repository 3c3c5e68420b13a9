"""The works: each file makes its inputs, runs its contenders in turn, and says what came out."""
