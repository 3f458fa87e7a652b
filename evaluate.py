"""Score a generator or a folder of images: python evaluate.py ckpt=RUN_FOLDER (--help for everything)."""

from gan_lightning.cli.evaluate import main

if __name__ == "__main__":
    main()
