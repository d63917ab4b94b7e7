"""`python -m pixeldance` is the same as `pixeldance`."""

from pixeldance.cli import main

if __name__ == "__main__":
    main()
