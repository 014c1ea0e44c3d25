"""``python -m pbweb_server`` is the command ``pbweb``."""

from .cli import main

if __name__ == "__main__":
    main()
