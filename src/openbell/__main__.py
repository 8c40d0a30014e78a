"""`python -m openbell` is the `openbell` command."""

from openbell.cli import main

if __name__ == "__main__":
    main()
