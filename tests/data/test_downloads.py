"""Sets in their published formats: made small, placed or served where the real ones would be. No network."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from gan_lightning.data import LSUN, CelebA, Flowers102, TorchvisionData
from gan_lightning.data.image_data import SquareImage
from gan_lightning.data.resolvers import EMNIST_CLASSES, celeba_classes, emnist_classes, folder_classes, stl10_classes
from gan_lightning.errors import UserError


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    real = urllib.request.urlopen

    def only_local(request: urllib.request.Request | str, *arguments: object, **options: object) -> object:
        if "127.0.0.1" in getattr(request, "full_url", str(request)):
            return real(request, *arguments, **options)
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", only_local)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    """Return the bytes of the format of MNIST's files."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def mnist_files(images: np.ndarray, labels: np.ndarray) -> dict[str, bytes]:
    return {f"{part}-{kind}-ubyte": idx(array) for part in ("train", "t10k")
            for kind, array in (("images-idx3", images), ("labels-idx1", labels))}  # fmt: skip


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


LABELS = np.arange(12, dtype=np.uint8) % 10
OPTIONS = {"image_size": 28, "channels": 1, "num_classes": 10, "batch_size": 4}


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_mnist_files_placed_by_hand(tmp_path: Path, name: str, folder: str) -> None:
    images = pixels(12, 28, 28)
    write(tmp_path / folder / "raw", mnist_files(images, LABELS))
    data = TorchvisionData(name=name, root=str(tmp_path), **OPTIONS)
    data.setup()
    for split in ("train", "test"):
        reference = data.reference(split)
        assert torch.equal(reference.images[:, 0], torch.from_numpy(images)) and len(data.class_names) == 10
        assert reference.labels.tolist() == LABELS.tolist()
    assert data.fingerprint("train") != data.fingerprint("test")
    assert next(iter(data.train_dataloader()))["image"].shape == (4, 1, 28, 28)
    resized = TorchvisionData(name=name, root=str(tmp_path), **{**OPTIONS, "image_size": 32, "channels": 3})
    expected = np.array(Image.fromarray(images[5]).resize((32, 32), Image.Resampling.BICUBIC))
    assert np.abs(resized.reference().images[5, 1].numpy().astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("subset", "offset"), [("balanced", 0), ("letters", 1)])
def test_emnist_is_upright_and_counts_from_zero(tmp_path: Path, subset: str, offset: int) -> None:
    images = pixels(12, 28, 28)
    files = {f"emnist-{subset}-train-images-idx3-ubyte": idx(images.transpose(0, 2, 1)),
             f"emnist-{subset}-train-labels-idx1-ubyte": idx(LABELS + np.uint8(offset))}  # fmt: skip
    write(tmp_path / "EMNIST/raw", files)
    data = TorchvisionData(
        name="emnist", root=str(tmp_path), subset=subset, **{**OPTIONS, "num_classes": emnist_classes(subset)}
    )
    assert torch.equal(data.reference().images[:, 0], torch.from_numpy(images.copy()))
    assert data.reference().labels.tolist() == LABELS.tolist()
    assert data.class_names == EMNIST_CLASSES[subset] and len(data.class_names) == data.num_classes


def test_emnist_classes_are_those_of_torchvision() -> None:
    for subset, classes in EMNIST_CLASSES.items():
        theirs = [c for c in datasets.EMNIST.classes_split_dict[subset] if c != "N/A"]
        assert classes == theirs


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.mark.parametrize(("name", "cls"), [("cifar10", "CIFAR10"), ("cifar100", "CIFAR100")])
def test_cifar_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, cls: str) -> None:
    images, official = pixels(4, 3, 32, 32), getattr(datasets, cls)
    key = "labels" if name == "cifar10" else "fine_labels"
    batch = pickle.dumps({"data": images.reshape(4, -1), key: [3, 1, 0, 2]})
    meta = pickle.dumps({official.meta["key"]: ["a", "b", "c", "d"]})
    lists = {"train_list": official.train_list, "test_list": official.test_list}
    for attribute, entries in lists.items():  # the checksums are those of the full set
        monkeypatch.setattr(official, attribute, [[entry[0], md5(batch)] for entry in entries])
    monkeypatch.setattr(official, "meta", {**official.meta, "md5": md5(meta)})
    files = {entry[0]: batch for entries in lists.values() for entry in entries} | {official.meta["filename"]: meta}
    write(tmp_path / official.base_folder, files)
    data = TorchvisionData(name=name, root=str(tmp_path), image_size=32, channels=3, num_classes=4, batch_size=2)
    reference = data.reference("test")
    assert torch.equal(reference.images, torch.from_numpy(images)) and reference.labels.tolist() == [3, 1, 0, 2]
    assert data.num_images == 4 * len(official.train_list) and data.class_names == ["a", "b", "c", "d"]


def test_svhn_matlab_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = pixels(5, 3, 32, 32)
    path = tmp_path / "train_32x32.mat"
    savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": np.array([[10], [1], [2], [3], [9]], np.uint8)})
    entry = datasets.SVHN.split_list["train"]
    monkeypatch.setitem(datasets.SVHN.split_list, "train", [*entry[:2], md5(path.read_bytes())])
    data = TorchvisionData(name="svhn", root=str(tmp_path), image_size=32, channels=3, num_classes=10, batch_size=2)
    assert torch.equal(data.reference().images, torch.from_numpy(images))
    assert data.reference().labels.tolist() == [0, 1, 2, 3, 9]
    with pytest.raises(UserError, match=r"data=svhn is not in .* could not be downloaded .*Name or service not known"):
        data.reference("test")


def test_stl10_binaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, official = pixels(3, 3, 96, 96), datasets.STL10
    stored = images.transpose(0, 1, 3, 2).tobytes()
    labels = bytes([1, 10, 5])
    for attribute in ("train_list", "test_list"):
        files = {entry[0]: labels if "_y" in entry[0] else stored for entry in getattr(official, attribute)}
        write(tmp_path / "stl10_binary", files)
        monkeypatch.setattr(official, attribute, [[name, md5(content)] for name, content in files.items()])
    options = dict(name="stl10", root=str(tmp_path), image_size=96, channels=3, batch_size=2)
    data = TorchvisionData(**options, subset="train", num_classes=stl10_classes("train"))
    assert torch.equal(data.reference().images, torch.from_numpy(images))
    assert data.reference().labels.tolist() == [0, 9, 4] and len(data.class_names) == 10
    data = TorchvisionData(**options, subset="train+unlabeled", num_classes=stl10_classes("train+unlabeled"))
    assert data.num_images == 6 and "label" not in data.reference()[0]
    with pytest.raises(UserError, match=r"data.subset=unlabeled of stl10 is unlabelled; set data.num_classes=0"):
        TorchvisionData(**options, subset="unlabeled", num_classes=10)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a small MNIST where its download looks for it; yields the folder that is served."""
    served = tmp_path / "served"
    packed = {f"{n}.gz": gzip.compress(c) for n, c in mnist_files(pixels(12, 28, 28), LABELS).items()}
    write(served, packed)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    monkeypatch.setattr(datasets.MNIST, "resources", [(name, md5(content)) for name, content in packed.items()])
    yield served
    server.shutdown()
    server.server_close()


def test_a_download_arrives_whole_or_not_at_all(tmp_path: Path, mirror: Path) -> None:
    root = tmp_path / "root"
    last = mirror / datasets.MNIST.resources[-1][0]
    kept = last.read_bytes()
    last.write_bytes(kept[:-9])  # cut off on the way
    data = TorchvisionData(name="mnist", root=str(root), **OPTIONS)
    with pytest.raises(UserError, match=r"data=mnist is not in .* could not be downloaded .* place it at .*MNIST/raw"):
        data.prepare_data()
    assert list(root.iterdir()) == []
    last.write_bytes(kept)
    data.prepare_data()
    assert data.num_images == 12 and [path.name for path in root.iterdir()] == ["MNIST"]


def test_sets_that_are_not_there(tmp_path: Path) -> None:
    root = str(tmp_path)
    for name in ("mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100", "svhn"):
        with pytest.raises(UserError, match=rf"data={name} is not in {root} and could .*; get it from http.*\.$"):
            TorchvisionData(name=name, root=root, **OPTIONS).setup()
    for made in (Flowers102(root=root), CelebA(root=root)):
        with pytest.raises(UserError, match=rf"data={made.name} is not in {root} and could .*; get .* in {root}"):
            made.setup()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=rf"data=lsun looked for {root}/tower_train_lmdb/data.mdb; download it"):
        LSUN(root=root, category="tower").setup()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    files = mnist_files(pixels(12, 28, 28), LABELS)
    files["train-images-idx3-ubyte"] = files["train-images-idx3-ubyte"][:999]
    write(tmp_path / "MNIST/raw", files)
    with pytest.raises(UserError, match=r"data=mnist at .*MNIST/raw is damaged \(.*\); remove it to download it again"):
        TorchvisionData(name="mnist", root=str(tmp_path), **OPTIONS).setup()


def test_unknown_sets_and_subsets() -> None:
    with pytest.raises(UserError, match=r"data.name=minst is not known; there are: 'mnist', "):
        TorchvisionData(name="minst", **OPTIONS)
    with pytest.raises(UserError, match=r"data.subset=leters of emnist does not exist; there are: 'letters', "):
        TorchvisionData(name="emnist", subset="leters", **OPTIONS)
    with pytest.raises(UserError, match=r"data.subset=x of mnist does not exist; there are: none, leave it null"):
        TorchvisionData(name="mnist", subset="x", **OPTIONS)


def celeba(root: Path, there: range = range(1, 9)) -> Path:
    """Write a small CelebA in the real layout: 12 images listed, the first 6 of them train, then valid and test."""
    images = root / "celeba/img_align_celeba"
    images.mkdir(parents=True)
    for number in there:
        Image.fromarray(pixels(218, 178, 3)).save(images / f"{number:06}.jpg")
    names = [f"{number:06}.jpg" for number in range(1, 13)]
    parts = [0] * 6 + [1] * 3 + [2] * 3
    partition = [f"{name} {part}" for name, part in zip(names, parts, strict=True)]
    (root / "celeba/list_eval_partition.txt").write_text("\n".join(partition) + "\n")
    smiling = [1 if number % 2 else -1 for number in range(1, 13)]
    attributes = [f"{name} -1  {value}" for name, value in zip(names, smiling, strict=True)]
    (root / "celeba/list_attr_celeba.txt").write_text("\n".join(["12", "Male Smiling ", *attributes]) + "\n")
    return root


def test_celeba_subset_in_the_real_layout(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = str(celeba(tmp_path, range(2, 9)))
    data = CelebA(root=root, image_size=16, batch_size=2)
    data.setup()
    assert data.num_images == 5 and "celeba: 5 of the 6 images listed for 'train' are in" in capsys.readouterr().out
    assert len(data.reference("valid")) == 2 and "label" not in data.reference("valid")[0]
    with pytest.raises(UserError, match=r"None of the images that .* lists for 'test' is in"):
        data.reference("test")
    assert CelebA(root=root, split="all", batch_size=2).num_images == 7
    assert CelebA(root=f"{root}/celeba", batch_size=2).num_images == 5


def test_celeba_attribute_makes_two_classes(tmp_path: Path) -> None:
    root = str(celeba(tmp_path))
    data = CelebA(root=root, image_size=16, batch_size=2, attribute="Smiling", num_classes=celeba_classes("Smiling"))
    assert data.reference().labels.tolist() == [1, 0, 1, 0, 1, 0] and data.class_names == ["not Smiling", "Smiling"]
    plain = CelebA(root=root, image_size=16, batch_size=2)
    assert torch.equal(plain.reference().images, data.reference().images)
    assert plain.fingerprint() != data.fingerprint()


def test_celeba_crops_the_centre(tmp_path: Path) -> None:
    root = celeba(tmp_path)
    image = Image.open(root / "celeba/img_align_celeba/000001.jpg")
    for crop, box in ((178, (0, 20, 178, 198)), (148, (15, 35, 163, 183))):
        expected = np.array(image.crop(box).resize((16, 16), Image.Resampling.BICUBIC))
        ours = CelebA(root=str(root), image_size=16, batch_size=2, crop=crop).reference()[0]["image"]
        assert np.array_equal(ours.permute(1, 2, 0).numpy(), expected)


def test_celeba_errors(tmp_path: Path) -> None:
    root = str(celeba(tmp_path))
    with pytest.raises(UserError, match=r"data.attribute=Smilling is none of CelebA's; there are: 'Smiling', 'Male'"):
        CelebA(root=root, attribute="Smilling", num_classes=2).setup()
    with pytest.raises(UserError, match=r"data.split=tset does not exist; there are: 'test', "):
        CelebA(root=root, split="tset")
    with pytest.raises(UserError, match=r"data.num_classes=10 does not fit data.attribute=None"):
        CelebA(root=root, num_classes=10)
    (tmp_path / "celeba/list_eval_partition.txt").unlink()
    with pytest.raises(UserError, match=r"list_eval_partition.txt cannot be read \(No such file .*place it there"):
        CelebA(root=root).setup()


def test_flowers(tmp_path: Path) -> None:
    (tmp_path / "flowers-102/jpg").mkdir(parents=True)
    for number in (1, 2, 4):
        Image.fromarray(pixels(20, 30, 3)).save(tmp_path / f"flowers-102/jpg/image_{number:05}.jpg")
    savemat(tmp_path / "flowers-102/imagelabels.mat", {"labels": np.array([[77, 1, 5, 102]], np.uint8)})
    data = Flowers102(root=str(tmp_path), image_size=8, batch_size=3)
    assert data.reference().labels.tolist() == [76, 0, 101] and data.class_names[76] == "passion flower"


def test_lsun_database(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    folder = tmp_path / "tower_train_lmdb"
    with lmdb.open(str(folder), map_size=2**20) as database, database.begin(write=True) as transaction:
        for number in range(4):
            Image.fromarray(pixels(20, 30, 3)).save(tmp_path / "x.webp", lossless=True)
            transaction.put(f"key{number}".encode(), (tmp_path / "x.webp").read_bytes())
        transaction.put(b"key9", b"no image")
    data = LSUN(root=str(tmp_path), category="tower", image_size=8, batch_size=2, num_workers=1)
    assert torch.equal(data.reference()[3]["image"], SquareImage(8, 3)(tmp_path / "x.webp"))
    with pytest.raises(UserError, match=r"Image .*tower_train_lmdb/key9 cannot be read"):
        list(data.train_dataloader()) + list(data.train_dataloader())


def test_class_counts_without_data(tmp_path: Path) -> None:
    assert [emnist_classes(subset) for subset in ("byclass", "bymerge", "balanced", "letters")] == [62, 47, 47, 26]
    for name in ("b", "a", ".git"):
        (tmp_path / name).mkdir()
    assert folder_classes(str(tmp_path), "folders") == 2 and folder_classes(str(tmp_path), None) == 0
    assert folder_classes(None, "folders") == folder_classes(str(tmp_path / "none"), "folders") == 0
