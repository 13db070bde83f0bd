"""`python -m xpnn` is the command `xpnn`, where the folder of scripts is not on the PATH."""

from xpnn.cli import main

if __name__ == "__main__":
    main()
