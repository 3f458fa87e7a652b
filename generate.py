"""Draw samples from a trained generator: python generate.py ckpt=RUN_FOLDER n=64 (--help for everything)."""

from gan_lightning.cli.generate import main

if __name__ == "__main__":
    main()
