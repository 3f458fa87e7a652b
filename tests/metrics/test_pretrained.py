"""DINOv2, SwAV and CLIP: their authors' networks computed by hand, the resize by Pillow, and files that are none."""

from __future__ import annotations

import builtins
import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from gan_lightning.errors import UserError
from gan_lightning.evaluation.image_sets import score
from gan_lightning.metrics import pretrained
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.inception_score import InceptionScore
from gan_lightning.metrics.pretrained import CLIP, DINOv2, Pretrained, State, SwAV
from gan_lightning.scores import parse

DEPTH = 2  # blocks of the transformers that are filled here; their whole networks have no memory here


class ShallowDINOv2(DINOv2):
    def __init__(self, weights: str | None = None) -> None:
        super().__init__("small", weights)

    def empty(self) -> nn.Module:
        import timm

        return timm.create_model("vit_small_patch14_dinov2", img_size=224, num_classes=0, depth=DEPTH)


class ShallowCLIP(CLIP):
    def empty(self) -> nn.Module:
        import timm

        return timm.create_model("vit_base_patch32_clip_quickgelu_224", num_classes=512, depth=DEPTH)


def drawn(**shapes: tuple[int, ...]) -> State:
    """Return normal weights that keep activations near 1, by names with "__" for dots."""
    stream = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in shapes.items():
        scale = math.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.3
        weights[name.replace("__", ".")] = scale * torch.randn(shape, generator=stream)
    return weights


def dinov2_state(width: int = 384) -> State:
    """Return weights as the authors name them, for images of 518 pixels."""
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, 1 + 37**2, width), "mask_token": (1, width)}
    shapes |= {"patch_embed.proj.weight": (width, 3, 14, 14), "patch_embed.proj.bias": (width,)}
    for i in range(DEPTH):
        for part, rows, columns in (("attn.qkv", 3, 1), ("attn.proj", 1, 1), ("mlp.fc1", 4, 1), ("mlp.fc2", 1, 4)):
            shapes[f"blocks.{i}.{part}.weight"] = (rows * width, columns * width)
            shapes[f"blocks.{i}.{part}.bias"] = (rows * width,)
        shapes |= {f"blocks.{i}.{part}": (width,) for part in ("ls1.gamma", "ls2.gamma")}
        shapes |= {f"blocks.{i}.norm{n}.{part}": (width,) for n in (1, 2) for part in ("weight", "bias")}
    return drawn(**shapes, **{"norm.weight": (width,), "norm.bias": (width,)})


def clip_state(width: int = 768) -> State:
    """Return weights as OpenAI names them, with some of the text's."""
    shapes = {"visual.class_embedding": (width,), "visual.positional_embedding": (50, width), "logit_scale": ()}
    shapes |= {"visual.conv1.weight": (width, 3, 32, 32), "visual.proj": (width, 512), "text_projection": (8, 8)}
    norms = ["visual.ln_pre", "visual.ln_post"]
    for i in range(DEPTH):
        block = f"visual.transformer.resblocks.{i}"
        norms += [f"{block}.ln_1", f"{block}.ln_2"]
        parts = (("attn.in_proj_", 3, 1), ("attn.out_proj.", 1, 1), ("mlp.c_fc.", 4, 1), ("mlp.c_proj.", 1, 4))
        for part, rows, columns in parts:
            shapes |= {f"{block}.{part}weight": (rows * width, columns * width), f"{block}.{part}bias": (rows * width,)}
    return drawn(**shapes, **{f"{norm}.{part}": (width,) for norm in norms for part in ("weight", "bias")})


def swav_state() -> State:
    """Return weights as the authors name them."""
    from torchvision.models import resnet50

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = resnet50().state_dict()
    kept = {f"module.{name}": value for name, value in state.items() if not name.startswith("fc.")}
    heads = {"module.projection_head.0.weight": torch.zeros(4, 2048), "module.prototypes.weight": torch.zeros(8, 4)}
    return kept | heads


MAKERS: dict[type[Pretrained], Callable[[], State]] = {
    ShallowDINOv2: dinov2_state,
    SwAV: swav_state,
    ShallowCLIP: clip_state,
}
KINDS = list(MAKERS)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[type[Pretrained], Path]:
    """Return a file with seeded random weights for each extractor."""
    folder = tmp_path_factory.mktemp("weights")
    found = {kind: folder / f"{kind.__name__}.pth" for kind in KINDS}
    for kind, path in found.items():
        torch.save(MAKERS[kind](), path)
    return found


def images(count: int, *size: int, channels: int = 3, seed: int = 0) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, *size), generator=stream, dtype=torch.uint8)


def features(kind: type[Pretrained], path: Path, pixels: Tensor) -> Tensor:
    extractor = kind(weights=str(path))
    extractor.prepare(None, "cpu")
    rows = extractor(pixels)
    assert rows["logits"].shape == (len(pixels), 0) and rows["features"].shape == (len(pixels), extractor.feature_dim)
    return rows["features"]


def scaled(pixels: Tensor, mean: list[float], std: list[float]) -> Tensor:
    return (pixels / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def attended(x: Tensor, qkv: Tensor, bias: Tensor, out: Tensor, out_bias: Tensor, heads: int) -> Tensor:
    query, key, value = functional.linear(x, qkv, bias).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    weights = (query @ key.transpose(2, 3) / key.shape[-1] ** 0.5).softmax(dim=-1)
    return functional.linear((weights @ value).transpose(1, 2).flatten(2), out, out_bias)


def normed(x: Tensor, state: State, name: str, eps: float) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)


def dinov2_by_hand(state: State, pixels: Tensor) -> Tensor:
    x = scaled(pixels, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    x = functional.conv2d(x, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=14)
    grid = state["pos_embed"][:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, scale_factor=(16.1 / 37, 16.1 / 37), mode="bicubic")
    patches = (x + grid).flatten(2).transpose(1, 2)
    x = torch.cat([(state["cls_token"] + state["pos_embed"][:, :1]).expand(len(x), -1, -1), patches], dim=1)
    for i in range(DEPTH):
        block = {name.removeprefix(f"blocks.{i}."): value for name, value in state.items()}
        names = "attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias"
        x = x + block["ls1.gamma"] * attended(normed(x, block, "norm1", 1e-6), *(block[n] for n in names), heads=6)
        hidden = functional.linear(normed(x, block, "norm2", 1e-6), block["mlp.fc1.weight"], block["mlp.fc1.bias"])
        x = x + block["ls2.gamma"] * functional.linear(
            functional.gelu(hidden), block["mlp.fc2.weight"], block["mlp.fc2.bias"]
        )
    return normed(x, state, "norm", 1e-6)[:, 0]


def clip_by_hand(state: State, pixels: Tensor) -> Tensor:
    x = scaled(pixels, [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    x = functional.conv2d(x, state["visual.conv1.weight"], stride=32).flatten(2).transpose(1, 2)
    x = torch.cat([state["visual.class_embedding"].expand(len(x), 1, -1), x], dim=1)
    x = normed(x + state["visual.positional_embedding"], state, "visual.ln_pre", 1e-5)
    for i in range(DEPTH):
        start = f"visual.transformer.resblocks.{i}."
        block = {name.removeprefix(start): value for name, value in state.items()}
        names = "attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight", "attn.out_proj.bias"
        x = x + attended(normed(x, block, "ln_1", 1e-5), *(block[n] for n in names), heads=12)
        hidden = functional.linear(normed(x, block, "ln_2", 1e-5), block["mlp.c_fc.weight"], block["mlp.c_fc.bias"])
        hidden = hidden * torch.sigmoid(1.702 * hidden)
        x = x + functional.linear(hidden, block["mlp.c_proj.weight"], block["mlp.c_proj.bias"])
    return normed(x[:, 0], state, "visual.ln_post", 1e-5) @ state["visual.proj"]


def swav_by_hand(state: State, pixels: Tensor) -> Tensor:
    from torchvision.models import resnet50

    network = resnet50()
    network.load_state_dict({name.removeprefix("module."): value for name, value in state.items()}, strict=False)
    network.fc = nn.Identity()
    return network.eval()(scaled(pixels, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


@pytest.mark.parametrize(
    ("kind", "by_hand"), [(ShallowDINOv2, dinov2_by_hand), (SwAV, swav_by_hand), (ShallowCLIP, clip_by_hand)]
)
@torch.no_grad()
def test_features_are_those_of_the_authors_networks(
    kind: type[Pretrained], by_hand: Callable[[State, Tensor], Tensor], files: dict[type[Pretrained], Path]
) -> None:
    pixels = images(2, 224, 224)
    with torch.random.fork_rng(devices=[]):
        expected = by_hand(MAKERS[kind](), pixels)
    found = features(kind, files[kind], pixels)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    assert (found[0] - found[1]).abs().max() > 1e-2 * expected.abs().max()  # the images do matter


@pytest.mark.parametrize(
    ("extractor", "width", "millions"),
    [
        (DINOv2(), 1024, 303),
        (DINOv2("base"), 768, 86),
        (DINOv2("small"), 384, 22),
        (SwAV(), 2048, 24),
        (CLIP(), 512, 88),
    ],
)
def test_whole_networks_have_the_published_sizes(extractor: Pretrained, width: int, millions: int) -> None:
    network = extractor._network()
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6) == millions
    assert network(torch.empty(3, 3, 224, 224, device="meta")).shape == (3, width) == (3, extractor.feature_dim)


def pillow(pixels: Tensor, size: int) -> Tensor:
    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    return torch.from_numpy(np.array(image.resize((size, size), Image.Resampling.BICUBIC))).permute(2, 0, 1)


def pillow_in_float(pixels: Tensor, size: int) -> Tensor:
    channels = [Image.fromarray(channel.float().numpy()) for channel in pixels]
    resized = [np.array(channel.resize((size, size), Image.Resampling.BICUBIC)) for channel in channels]
    return torch.from_numpy(np.stack(resized)).clamp(0, 255)


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (223, 225), (300, 260), (1000, 512)])
def test_the_resize_is_pillows_up_and_down(size: tuple[int, int]) -> None:
    noise = images(1, *size)[0]
    found, exact = pretrained.resized(noise[None])[0], pillow_in_float(noise, 224)
    assert (found - exact).abs().max() < 0.01 and found.min() >= 0 and found.max() <= 255
    smooth = functional.avg_pool2d(images(1, *(length + 4 for length in size)).float(), 5, stride=1)[0].round().byte()
    # In 8 bits Pillow rounds, and cuts off what leaves the range, after each of its two passes.
    assert (pretrained.resized(smooth[None])[0] - pillow(smooth, 224)).abs().max() < 1.6


def test_images_of_the_networks_size_are_left_and_grey_ones_repeated() -> None:
    assert torch.equal(pretrained.resized(images(2, 224, 224)), images(2, 224, 224).float())
    grey = images(2, 224, 224, channels=1)
    assert torch.equal(pretrained.resized(grey), grey.float().repeat(1, 3, 1, 1))


@pytest.mark.filterwarnings("ignore:FID fits a covariance")
def test_scores_bear_the_name_and_a_set_against_itself_has_none(files: dict[type[Pretrained], Path]) -> None:
    extractor = ShallowDINOv2(str(files[ShallowDINOv2]))
    before = torch.random.get_rng_state()
    scores, evaluator = score(images(6, 32, 32), images(6, 32, 32), {"fid": FID}, extractor)
    assert torch.equal(before, torch.random.get_rng_state())
    assert scores == {"fid6[dinov2-small]": pytest.approx(0, abs=1e-6)}
    assert evaluator.protocol.endswith("dinov2-small features (antialiased bicubic to 224)")
    digest = hashlib.sha256(files[ShallowDINOv2].read_bytes()).hexdigest()
    assert digest[:16] in extractor.fingerprint
    assert [kind().suffix for kind in (DINOv2, SwAV, CLIP)] == ["[dinov2]", "[swav]", "[clip]"]


def test_there_is_no_inception_score_without_classes_and_nothing_is_downloaded_to_say_so(tmp_path: Path) -> None:
    missing = ShallowDINOv2(str(tmp_path / "nothing.pth"))
    with pytest.raises(UserError, match=r"metrics=\[is\] needs classes .* has features alone.* metrics=\[fid\]"):
        score(images(6, 32, 32), images(6, 32, 32), {"fid": FID, "is": InceptionScore}, missing)


def test_only_a_file_whose_hash_is_published_is_verified(files: dict[type[Pretrained], Path]) -> None:
    unknown = ShallowCLIP(str(files[ShallowCLIP]))
    unknown.check()
    assert unknown.suffix == "[clip,unverified]"
    parts = parse(f"fid10k_train_std{unknown.suffix}")
    assert parts is not None and parts.suffix == unknown.suffix and parts.spread


def torch_script(state: State) -> torch.jit.ScriptModule:
    """Return a module with these half precision weights, as OpenAI publishes them."""
    root = nn.Module()
    for name, value in state.items():
        *path, leaf = name.split(".")
        place = root
        for part in path:
            if not hasattr(place, part):
                place.add_module(part, nn.Module())
            place = getattr(place, part)
        place.register_buffer(leaf, value.half())
    return torch.jit.script(root)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_openais_own_file_is_read_and_no_other_code_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, path = clip_state(), tmp_path / "ViT-B-32.pt"
    torch_script(state).save(str(path))
    with pytest.raises(UserError, match="does not hold the weights of CLIP"):
        ShallowCLIP(str(path)).check()
    monkeypatch.setattr(CLIP, "hash_prefix", hashlib.sha256(path.read_bytes()).hexdigest())
    extractor = ShallowCLIP(str(path))
    extractor.prepare(None, "cpu")
    assert extractor.suffix == "[clip]"
    assert {value.dtype for value in extractor.network.state_dict().values()} == {torch.float32}
    assert torch.equal(extractor.network.head.weight, state["visual.proj"].half().float().T)  # type: ignore[union-attr]


def test_files_that_hold_something_else_are_refused(tmp_path: Path, files: dict[type[Pretrained], Path]) -> None:
    path = tmp_path / "weights.pth"
    for content in (b"", b"no file of torch", files[SwAV].read_bytes()[:5000]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"weights\.pth does not hold the weights of .*extractor\.weights=PATH"):
            SwAV(str(path)).check()
    (tmp_path / "weights.safetensors").write_bytes(b"nothing safe")
    with pytest.raises(UserError, match="does not hold the weights"):
        SwAV(str(tmp_path / "weights.safetensors")).check()
    for kind in KINDS:
        wrong = {"conv1.weight": torch.zeros(3)}, torch.zeros(3), [1], {"pos_embed": 1}, {"pos_embed": torch.ones(2)}
        for value in wrong:
            torch.save(value, path)
            with pytest.raises(UserError, match="does not hold the weights"):
                kind(weights=str(path)).check()


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    wider, registers = dinov2_state(768), dinov2_state() | {"register_tokens": torch.zeros(1, 4, 384)}
    for state in (wider, registers, dinov2_state() | {"norm.bias": torch.zeros(3)}):
        torch.save(state, tmp_path / "weights.pth")
        with pytest.raises(UserError, match=r"does not hold the weights of DINOv2 \(extractor.size=small\)"):
            ShallowDINOv2(str(tmp_path / "weights.pth")).check()


@pytest.mark.parametrize("extractor", [DINOv2(), SwAV(), CLIP()])
def test_without_a_network_the_sentence_says_where_which_file_belongs(
    extractor: Pretrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UserError, match=r"put the file there, or give extractor\.weights=PATH") as caught:
        extractor.check()
    place, said = tmp_path / "checkpoints" / Path(extractor.url).name, str(caught.value)
    assert str(place) in said and extractor.url in said


@pytest.mark.parametrize("kind", [DINOv2, CLIP])
def test_a_missing_package_is_named_with_its_command(kind: type[Pretrained], monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_timm(name: str, *args: object, **options: object) -> object:
        if name.partition(".")[0] == "timm":
            raise ImportError("No module named 'timm'")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without_timm)
    with pytest.raises(UserError, match=r"needs the package timm: pip install 'gan-lightning\[extractors\]'"):
        kind().check()


def test_mistaken_options_are_sentences(tmp_path: Path, files: dict[type[Pretrained], Path]) -> None:
    with pytest.raises(UserError, match=r"extractor\.size=giant is not known: choose large, base or small"):
        DINOv2("giant")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"nothing\.pth is not a file: give the path of dinov2_vitl14_pretrain.pth"):
        DINOv2(weights=str(tmp_path / "nothing.pth")).check()
    with pytest.raises(UserError, match="these have 2"):
        features(SwAV, files[SwAV], images(1, 8, 8, channels=2))
