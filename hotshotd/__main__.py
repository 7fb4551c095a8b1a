"""`python -m hotshotd` is the daemon."""

from hotshotd.cli.daemon import main

main()
