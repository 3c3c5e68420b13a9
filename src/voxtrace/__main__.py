"""``python -m voxtrace`` is the command ``voxtrace``."""

from voxtrace.cli import main

if __name__ == "__main__":
    main()
