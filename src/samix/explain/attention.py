"""Where a network looks: Grad-CAM of its last feature map, or the roll-out of its attention."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from timm.utils.attention_extract import AttentionExtract
from torch import Tensor, nn

from samix.networks import feature_info, in_format
from samix.progress import Display

from .pairs import Pair, as_mixes, load_pairs, mix_at
from .results import HeatInside, SeenMix, SeenPhoto
from .subject import Looked, RunNetwork, RunPhotos

_LEAST_FIELDS = 7  # on a side: what Grad-CAM has in a ResNet at 224 px


class Looker(Protocol):
    """Says where a network looks."""

    name: str  # what it is called
    fields: tuple[int, int]  # height and width of its map before it is enlarged to the photo
    asks: bool  # it can be asked about a class; otherwise it shows what is looked at for any

    def __call__(self, images: Tensor, wish: Tensor) -> Tensor:
        """Return the heat of some photos.

        Args:
            images: (B,3,H,W) as the network sees them.
            wish: (B,) classes that are asked about; (B,D) embeddings of unit norm where the network
                has no classes: what in the photo makes its embedding like this one.

        Returns:
            (B,1,H,W) in [0, 1] on the CPU, 1 where it is hottest; all 0 where nothing speaks for
            the wish.
        """


def open_looker(subject: RunNetwork) -> Looker | None:
    """Return what suits the network; None where neither way is possible."""
    probe = _probe(subject)
    if (rolled := _RollOut.of(subject, probe)) is not None:
        return rolled
    return open_class_looker(subject)


def open_class_looker(subject: RunNetwork) -> Looker | None:
    """Return one that can be asked about a class; None where there is none."""
    return _GradCam.of(subject, _probe(subject))


def _probe(subject: RunNetwork) -> Tensor:
    """Return one image, to see the sizes of maps."""
    size = subject.image_size
    return subject.look(torch.linspace(0, 1, 3 * size * size).view(1, 3, size, size))


def attention_rollout(attention: Sequence[Tensor]) -> Tensor:
    """Return how much of each token reaches each token of the last block.

    The product over the blocks of ``(mean over heads of A + I) / 2``. Source: Abnar and Zuidema
    2020, arXiv 2005.00928.

    Args:
        attention: (B,heads,N,N) of each block, first block first; rows sum to 1.

    Returns:
        (B,N,N); rows sum to 1.
    """
    first = attention[0]
    flow = torch.eye(first.shape[-1], dtype=torch.float32, device=first.device)
    whole = flow.expand(len(first), -1, -1)
    for block in attention:
        whole = (block.float().mean(1) + flow) / 2 @ whole
    return whole


def stretched(heat: Tensor, size: tuple[int, int], *, floor: bool = False) -> Tensor:
    """Return heat enlarged to a photo and divided by its largest value.

    Args:
        heat: (B,1,h,w).
        size: Height and width of the photo.
        floor: Subtract the smallest value first, for maps that are nowhere zero.

    Returns:
        (B,1,H,W) in [0, 1]; all 0 where nothing is above 0.
    """
    heat = F.interpolate(heat.detach().float().cpu(), size, mode="bilinear").clamp_min(0)
    if floor:
        heat = heat - heat.amin((2, 3), keepdim=True)
    top = heat.amax((2, 3), keepdim=True)
    return torch.where(top > 1e-12, heat / top.clamp_min(1e-12), torch.zeros_like(heat))


class _Watched(nn.Module):
    """A network whose last feature map passes through ``map``, and the score of a wish."""

    def __init__(self, network: nn.Module, *, classifies: bool, last: bool) -> None:
        super().__init__()
        self.network = network
        self.classifies = classifies
        self.last = last
        self.map = nn.Identity()
        self.channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"

    def forward(self, images: Tensor, wish: Tensor) -> Tensor:
        """Return the (B,) scores: the wished logit, or the likeness of the embedding."""
        network = cast("Any", self.network)
        features = network.forward_features(images)
        if self.last and self.channels_last:
            features = self.map(features.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        elif self.last:
            features = self.map(features)
        if self.classifies:
            logits: Tensor = network.forward_head(features)
            return logits.gather(1, wish.view(-1, 1)).squeeze(1)
        embedding: Tensor = network.forward_head(features, pre_logits=True)
        return (embedding * wish).sum(1)


class _TokensAsMap(nn.Module):
    """Shows the tokens of a transformer to ``map`` as a feature map, and passes them on."""

    def __init__(self, norm: nn.Module, map_: nn.Module, prefix: int, grid: Sequence[int]) -> None:
        super().__init__()
        self.norm, self.map, self.prefix, self.grid = norm, map_, prefix, tuple(grid)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the normalised (B,N,C) tokens."""
        tokens = self.norm(tokens)
        patches = tokens[:, self.prefix :].transpose(1, 2)
        patches = (
            self.map(patches.reshape(*patches.shape[:2], *self.grid)).flatten(2).transpose(1, 2)
        )
        return torch.cat([tokens[:, : self.prefix], patches], 1)


class _GradCam:
    """Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391), by captum.

    It reads the last feature map, as published, unless that has fewer than 7 x 7 fields, which
    happens with small photos: then the last stage that has them. In a transformer it reads the
    input of the last block, behind which patches no longer speak.
    """

    name = "Grad-CAM"
    asks = True

    def __init__(
        self,
        watched: _Watched,
        layer: nn.Module,
        fields: tuple[int, int],
        channels_last: bool,
    ) -> None:
        self.watched = watched
        self.channels_last = channels_last
        self.fields = fields
        self.gradcam = LayerGradCam(watched, layer)

    @classmethod
    def of(cls, subject: RunNetwork, probe: Tensor) -> _GradCam | None:
        """Return it for a network that has a feature map."""
        network = cast("Any", subject.network)
        with torch.no_grad():
            features = network.forward_features(probe)
        tokens = features.ndim == 3 and _is_plain_transformer(network)
        watched = _Watched(
            copy.deepcopy(network) if tokens else network,
            classifies=bool(subject.classes),
            last=not tokens,
        ).eval()
        layer: nn.Module = watched.map
        if features.ndim == 4 and watched.channels_last:
            sides = features.shape[1:3]
        elif features.ndim == 4:
            finer = (
                _finer_stage(network, probe) if min(features.shape[2:]) < _LEAST_FIELDS else None
            )
            layer, sides = finer or (watched.map, features.shape[2:])
        elif tokens:
            sides = network.patch_embed.grid_size
            last = cast("Any", watched.network).blocks[-1]
            last.norm1 = _TokensAsMap(last.norm1, watched.map, network.num_prefix_tokens, sides)
        else:
            return None
        fields = (int(sides[0]), int(sides[1]))
        return cls(watched, layer, fields, subject.channels_last)

    def __call__(self, images: Tensor, wish: Tensor) -> Tensor:
        wish = wish.to(images.device)
        # in float32: low precision would leave a coarse map
        shown = in_format(images, self.channels_last)
        with torch.enable_grad():
            heat = self.gradcam.attribute(
                shown, additional_forward_args=(wish,), relu_attributions=True
            )
        return stretched(cast("Tensor", heat), (images.shape[2], images.shape[3]))


class _RollOut:
    """Attention roll-out of a transformer of one resolution, from timm's attention maps."""

    name = "attention roll-out"
    asks = False

    def __init__(self, extract: nn.Module, prefix: int, pooled: bool, grid: Sequence[int]) -> None:
        self.extract, self.prefix, self.pooled = extract, prefix, pooled
        self.fields = (int(grid[0]), int(grid[1]))

    @classmethod
    def of(cls, subject: RunNetwork, probe: Tensor) -> _RollOut | None:
        """Return it for a network in which each token looks at all tokens."""
        network = cast("Any", subject.network)
        if not _is_plain_transformer(network):
            return None
        own = copy.deepcopy(network)
        for module in own.modules():
            if hasattr(module, "fused_attn"):
                module.fused_attn = False  # the fused kernel keeps its maps to itself
        try:
            extract = AttentionExtract(own, method="hook")
        except RuntimeError:  # no module of this name
            return None
        grid, prefix = network.patch_embed.grid_size, int(network.num_prefix_tokens)
        with torch.no_grad():
            maps = list(extract(probe).values())
        count = prefix + grid[0] * grid[1]
        if not maps or any(m.ndim != 4 or m.shape[-2:] != (count, count) for m in maps):
            return None
        pooled = prefix == 0 or getattr(network, "global_pool", "token") not in ("", "token")
        return cls(extract, prefix, pooled, grid)

    @torch.no_grad()
    def __call__(self, images: Tensor, wish: Tensor) -> Tensor:
        whole = attention_rollout(list(self.extract(images).values()))
        rows = whole[:, self.prefix :].mean(1) if self.pooled else whole[:, 0]
        heat = rows[:, self.prefix :].reshape(-1, 1, *self.fields)
        return stretched(heat, (images.shape[2], images.shape[3]), floor=True)


def _finer_stage(network: nn.Module, probe: Tensor) -> tuple[nn.Module, torch.Size] | None:
    """Return the last stage of a network with 7 x 7 fields or more, and its size."""
    names = [stage["module"] for stage in feature_info(network)]
    sizes: dict[str, torch.Size] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                sizes[name] = output.shape[2:]

        return hook

    with ExitStack() as hooks, torch.no_grad():
        for name in names:
            hooks.enter_context(network.get_submodule(name).register_forward_hook(note(name)))
        cast("Any", network).forward_features(probe)
    fine = [name for name in names if name in sizes and min(sizes[name]) >= _LEAST_FIELDS]
    return (network.get_submodule(fine[-1]), sizes[fine[-1]]) if fine else None


def _is_plain_transformer(network: Any) -> bool:
    """Say whether it is one of tokens in one resolution with blocks that attend to all of them."""
    blocks = getattr(network, "blocks", None)
    return (
        hasattr(network, "num_prefix_tokens")
        and hasattr(getattr(network, "patch_embed", None), "grid_size")
        and isinstance(blocks, nn.Sequential | nn.ModuleList)
        and hasattr(blocks[-1], "norm1")
        and hasattr(blocks[-1], "attn")
    )


_Row = tuple[float, float, bool]
_LOOKED_AT = 32
_MEASURED = 200  # photos with a defect, in which heat is measured
_MOST_CLASSES = 8  # that are shown


def see_photos(
    photos: RunPhotos, looked: Looked, looker: Looker, subject: RunNetwork, count: int, seed: int
) -> list[SeenPhoto]:
    """Return photos of each class with where the network looks, right and wrong ones."""
    rows = _chosen(looked, count, seed)
    images = photos.load([looked.positions[at] for at in rows])
    taken_for = looked.embedding if looked.probability is None else looked.probability.argmax(1)
    heat = heat_of(looker, subject, images, taken_for[rows])
    return [_seen(photos, looked, at, images[n], heat[n]) for n, at in enumerate(rows)]


def heat_inside(
    photos: RunPhotos,
    looked: Looked,
    looker: Looker,
    subject: RunNetwork,
    seed: int,
    progress: Display,
) -> list[HeatInside]:
    """Return how much of the heat lies in the marked defects, for each class that has any.

    The network is asked about the true class. Photos in which nothing speaks for it are counted
    apart.
    """
    if photos.images.read_mask is None:
        return []
    order = np.random.default_rng([seed, 2]).permutation(len(looked.positions)).tolist()
    marked: list[tuple[int, Tensor]] = []
    for at in order:
        if len(marked) == _MEASURED:
            break
        if (defect := photos.defect(looked.positions[at])) is not None:
            marked.append((at, defect))
    found: dict[str, list[_Row | None]] = {}
    for start in range(0, len(marked), _LOOKED_AT):
        some = marked[start : start + _LOOKED_AT]
        rows = [at for at, _ in some]
        images = photos.load([looked.positions[at] for at in rows])
        heats = heat_of(looker, subject, images, looked.wish(rows))
        for (at, defect), heat in zip(some, heats, strict=True):
            name = photos.name(looked.positions[at])
            found.setdefault(name, []).append(_row(heat, defect))
        progress.work("heat inside the defects", start + len(some), len(marked))
    names = [name for name in (*photos.classes, "") if name in found]
    return [_mean(name, found[name]) for name in names]


def share_inside(heat: Tensor, region: Tensor) -> float | None:
    """Return the share of the heat inside a region: (1,H,W) both; None where there is no heat."""
    whole = float(heat.sum())
    return float((heat * region).sum()) / whole if whole > 0 else None


def see_mixes(
    photos: RunPhotos,
    looked: Looked,
    pairs: Sequence[Pair],
    asker: Looker,
    subject: RunNetwork,
    seed: int,
) -> list[SeenMix]:
    """Return half-and-half mixes with where each of the two sources is seen."""
    originals, partners = load_pairs(photos, pairs)
    mixed, plan, shown = mix_at(subject, originals, partners, 0.5, seed=seed)
    _, probability = subject.ask(mixed)
    sides = []
    for side in (0, 1):
        wish = looked.wish([looked.row(pair[side]) for pair in pairs])
        sides.append(in_batches(asker, mixed, wish))
        if not asker.asks:
            break
    seen = []
    for at, mix in enumerate(as_mixes(photos, pairs, originals, partners, plan, shown)):
        sure = None
        if probability is not None:
            first, second = (photos.targets[position] for position in pairs[at])
            sure = float(probability[at, first]), float(probability[at, second])
        seen.append(SeenMix(mix, [side[at] for side in sides], sure))
    return seen


def heat_of(looker: Looker, subject: RunNetwork, images: Tensor, wish: Tensor) -> Tensor:
    """Return the (B,1,S,S) heat of (B,3,S,S) photos in [0, 1]."""
    return in_batches(looker, subject.look(images), wish)


def in_batches(looker: Looker, images: Tensor, wish: Tensor) -> Tensor:
    """Return the (B,1,S,S) heat of images as the network sees them."""
    both = zip(torch.split(images, _LOOKED_AT), torch.split(wish, _LOOKED_AT), strict=True)
    return torch.cat([looker(some, asked) for some, asked in both])


def _chosen(looked: Looked, count: int, seed: int) -> list[int]:
    """Return rows to show: of each class right ones, then wrong ones."""
    order = np.random.default_rng([seed, 3]).permutation(len(looked.positions)).tolist()
    said = None if looked.probability is None else looked.probability.argmax(1)
    right = torch.ones(len(order), dtype=torch.bool) if said is None else said == looked.target
    classes = torch.unique(looked.target).tolist()
    # where there are many classes, those that are right least often
    classes.sort(key=lambda target: float(right[looked.target == target].float().mean()))
    rows = []
    for target in sorted(classes[:_MOST_CLASSES]):
        own = [at for at in order if int(looked.target[at]) == target]
        rows += [at for at in own if right[at]][:count] + [at for at in own if not right[at]][
            :count
        ]
    return rows


def _seen(photos: RunPhotos, looked: Looked, row: int, image: Tensor, heat: Tensor) -> SeenPhoto:
    position = looked.positions[row]
    defect = photos.defect(position)
    said, sure = "", 0.0
    if looked.probability is not None:
        said = photos.classes[int(looked.probability[row].argmax())]
        sure = float(looked.probability[row].max())
    inside = None if defect is None else share_inside(heat, defect)
    key = photos.images.keys[position]
    return SeenPhoto(image, heat, key, photos.name(position), said, sure, defect, inside)


def _row(heat: Tensor, defect: Tensor) -> _Row | None:
    """Return share of the heat inside, area, and whether the hottest point is; None without."""
    share = share_inside(heat, defect)
    if share is None:
        return None
    return share, float(defect.mean()), bool(defect.flatten()[heat.flatten().argmax()] > 0)


def _mean(name: str, rows: Sequence[_Row | None]) -> HeatInside:
    warm = [row for row in rows if row is not None]
    share, area, hit = (sum(float(row[at]) for row in warm) / max(len(warm), 1) for at in range(3))
    return HeatInside(name, len(warm), len(rows) - len(warm), share, area, hit)
