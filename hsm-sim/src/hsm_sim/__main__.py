"""`python -m hsm_sim`: the same as `hsm-sim`."""

from hsm_sim.cli import main

if __name__ == "__main__":
    main()
