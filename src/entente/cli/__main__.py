"""`python -m entente.cli` is the command where no script is installed."""

from entente.cli.root import main

if __name__ == "__main__":
    main()
