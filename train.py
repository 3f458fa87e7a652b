"""Train a GAN: python train.py model=dcgan data=digits (python train.py --help for everything)."""

from gan_lightning.cli.train import main

if __name__ == "__main__":
    main()
