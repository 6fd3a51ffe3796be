"""`python -m modelport.cli`: the same as `modelport`."""

from modelport.cli import main

main()
