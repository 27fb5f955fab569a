"""`python -m sparring`: the command line where the console script is not on the path."""

from sparring.cli import main

if __name__ == "__main__":
    main()
