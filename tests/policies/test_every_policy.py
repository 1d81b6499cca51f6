"""What every policy must hold: a policy that is not in these tests does not exist."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from samix import POLICIES, Evidence, MixPlan, Policy, create_policy
from samix.mixing import EarlierBatch, Mosaic, cell_mask, mix_targets
from samix.policies import policy_options

NAMES = list(POLICIES)
CHANNELS = 6


def make(name: str, **options: object) -> Policy:
    """A policy of each name; a learned one with a Mixer whose masks have structure."""
    if "channels" in policy_options(name):
        options = {"channels": CHANNELS, **options}
    torch.manual_seed(0)
    policy = create_policy(name, **options)
    if policy.traits.learned:
        policy.mixer.value[-1].weight.data.mul_(4.0)
    return policy


def evidence_for(policy: Policy, batch: int, size: tuple[int, int] = (8, 8)) -> Evidence:
    """What the policy says that it needs, the same at every call; nothing else."""
    generator = torch.Generator().manual_seed(7)
    features = torch.randn(batch, CHANNELS, 4, 4, generator=generator, dtype=torch.float32)
    shares = torch.rand(batch, 1, 4, 4, generator=generator, dtype=torch.float32).pow(3)
    shares = shares / shares.sum((2, 3), keepdim=True)
    gradient = torch.rand(batch, 1, *size, generator=generator, dtype=torch.float32).pow(2)
    known = {
        "features": features,
        "gradient": gradient,
        "activation": shares,
        "attention": shares,
    }
    return Evidence(**{name: known[name] for name in policy.traits.needs})


def plan_of(policy: Policy, images: Tensor, seed: int = 0) -> MixPlan:
    if policy.traits.sources == "history":  # what it mixed before: images 100, 101 and so on
        past = torch.arange(100.0, 100 + len(images)).view(-1, 1, 1, 1).expand_as(images)
        policy.after(past, torch.eye(len(images), max(len(images), 2)).flip(0))
    return policy.plan(
        images,
        target=torch.arange(len(images)),
        evidence=evidence_for(policy, len(images), (images.shape[2], images.shape[3])),
        generator=torch.Generator().manual_seed(seed),
    )


def mixed_by(policy: Policy, images: Tensor, plan: MixPlan) -> Tensor:
    """The mix; of a policy inside the network the images stand for what comes out of a stage."""
    return policy.mix(images, plan)


def without(test: str, names: list[str] = NAMES) -> list[str]:
    """The policies that a test is for: all but those whose paper makes it impossible."""
    return [name for name in names if test not in make(name).traits.excused]


@pytest.mark.parametrize("name", NAMES)
def test_provenance(name: str, record_property: Callable[[str, object], None]) -> None:
    """Image i is the constant i, so that every pixel of the mix tells where it came from.

    The plan is made of images with something on them, for policies that look.
    """
    policy, batch = make(name), 9
    images = torch.arange(float(batch)).view(-1, 1, 1, 1).expand(-1, 3, 16, 12).contiguous()
    plan = plan_of(policy, torch.rand(batch, 3, 16, 12))
    mixed = mixed_by(policy, images, plan)
    soft = mix_targets(torch.arange(batch), plan, batch)
    for i in range(batch):
        partner = int(plan.index[i])
        assert partner != i
        past = isinstance(plan.source, EarlierBatch)
        other: Tensor | int = 100 + partner if past else partner
        if isinstance(plan.source, Mosaic):  # each pixel is of the image that its cell shows
            other = cell_mask(plan.source.cells[[i]].unsqueeze(1), (16, 12))[0]
        expected = plan.mask[i] * i + (1 - plan.mask[i]) * other
        assert torch.allclose(mixed[i], expected.expand(3, -1, -1), atol=1e-5)
        row = torch.zeros(batch)
        row[i] += plan.weight[i].detach()
        if isinstance(plan.source, Mosaic):
            shown = torch.bincount(plan.source.cells[i].flatten(), minlength=batch).float()
            assert torch.allclose(soft[i], shown / shown.sum(), atol=1e-6)
            continue
        mixed_in = batch - 1 - partner if past else partner
        row[mixed_in] += plan.partner_share[i].detach()
        assert torch.allclose(soft[i], row)
    if policy.traits.label in ("area", "attention"):
        assert torch.allclose(plan.weight, plan.area, atol=1e-6)
    elif policy.traits.label == "lam":
        assert torch.equal(plan.weight, plan.lam)
        distance = (plan.area - plan.lam).abs().max().item()
        record_property("distance of area and lam", distance)
        assert distance < 0.2
        assert plan.mask.flatten(1).std(1).max() > 0.05


@pytest.mark.parametrize("name", [name for name in NAMES if make(name).traits.pairwise])
def test_pair_locality_no_third_image_matters(name: str) -> None:
    policy, batch = make(name), 5
    images = torch.rand(batch, 3, 8, 8, requires_grad=True)
    evidence = evidence_for(policy, batch)
    known = [getattr(evidence, need).requires_grad_(True) for need in policy.traits.needs]
    plan = policy.plan(images, evidence=evidence, generator=torch.Generator().manual_seed(3))
    mixed = mixed_by(policy, images, plan)
    for i in range(batch):
        inputs = [images, *known]
        gradients = torch.autograd.grad(
            mixed[i].sum(), inputs, retain_graph=True, allow_unused=True
        )
        for gradient in gradients:
            if gradient is not None:
                others = set(range(batch)) - {i, int(plan.index[i])}
                assert all(gradient[other].abs().max() == 0 for other in others)


PAIRWISE = [name for name in NAMES if make(name).traits.pairwise]


@pytest.mark.parametrize(
    "name", without("test_pair_locality_a_plan_is_that_of_the_pair_alone", PAIRWISE)
)
def test_pair_locality_a_plan_is_that_of_the_pair_alone(name: str) -> None:
    """What is on a third image, and what is known of it, changes nothing for a pair."""
    policy, batch = make(name), 5
    images = torch.rand(batch, 3, 16, 16)
    evidence = evidence_for(policy, batch, (16, 16))
    plan = policy.plan(images, evidence=evidence, generator=torch.Generator().manual_seed(3))
    third = next(i for i in range(batch) if i not in (0, int(plan.index[0])))
    images[third] = torch.rand(3, 16, 16)
    known = {need: getattr(evidence, need).clone() for need in policy.traits.needs}
    for value in known.values():
        value[third] = value[third].flip(-1)
    other = policy.plan(
        images, evidence=Evidence(**known), generator=torch.Generator().manual_seed(3)
    )
    for part in ("lam", "mask", "weight"):
        assert torch.allclose(getattr(plan, part)[0], getattr(other, part)[0], atol=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if make(name).traits.learned])
def test_pair_locality_a_mask_is_that_of_the_pair_alone(name: str) -> None:
    policy, images = make(name), torch.rand(6, 3, 8, 8)
    assert policy.traits.learned
    plan, features = plan_of(policy, images), evidence_for(policy, 6).features
    assert features is not None
    for i in range(6):
        pair = features[[i]], features[plan.index[[i]]]
        alone = policy.mixer(*pair, plan.lam[[i]], (8, 8))
        assert torch.allclose(plan.mask[i], alone[0], atol=1e-6)


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, batch: int) -> None:
    policy, images = make(name), torch.rand(batch, 3, 10, 14)
    before = images.clone()
    state = torch.get_rng_state()
    plan = plan_of(policy, images)
    mixed = mixed_by(policy, images, plan)
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert plan.lam.shape == plan.weight.shape == plan.index.shape == (batch,)
    assert plan.mask.shape == (batch, 1, 10, 14)
    assert plan.lam.dtype == plan.weight.dtype == plan.mask.dtype == torch.float32
    assert plan.index.dtype == torch.int64
    assert mixed.shape == images.shape
    for values in (plan.lam, plan.weight, plan.mask):
        assert values.min() >= 0
        assert values.max() <= 1
    soft = mix_targets(torch.arange(batch), plan, max(batch, 2))
    if policy.traits.rows_sum_to_one:
        assert plan.partner_weight is None
        assert torch.allclose(soft.sum(1), torch.ones(batch), atol=1e-6)
    else:
        assert plan.partner_weight is not None
        assert (soft.sum(1) <= 2.0 + 1e-6).all()
    if batch > 1:
        assert (plan.index != torch.arange(batch)).all()


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("name", without("test_the_partners_are_a_permutation"))
def test_the_partners_are_a_permutation(name: str, batch: int) -> None:
    plan = plan_of(make(name), torch.rand(batch, 3, 10, 14))
    assert sorted(plan.index.tolist()) == list(range(batch))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_plan_and_another_seed_another(name: str) -> None:
    policy, images = make(name), torch.rand(8, 3, 16, 16)
    first, again, other = (plan_of(policy, images, seed) for seed in (1, 1, 2))
    for part in ("lam", "index", "mask", "weight"):
        assert torch.equal(getattr(first, part), getattr(again, part))
    assert not torch.equal(first.index, other.index)


@pytest.mark.parametrize("name", [name for name in NAMES if "p" in policy_options(name)])
def test_p_is_the_share_of_samples_that_are_mixed(name: str) -> None:
    images = torch.rand(600, 3, 8, 8)
    assert torch.equal(mixed_by(make(name), images, plan_of(make(name, p=0.0), images)), images)
    always = plan_of(make(name), images)
    plan = plan_of(make(name, p=0.3), images)
    untouched = (plan.lam == 1) & (plan.mask == 1).flatten(1).all(1) & (plan.weight == 1)
    assert untouched.float().mean().item() == pytest.approx(0.7, abs=0.07)
    mixed = ~untouched
    # what is mixed is mixed as without p: p is not applied twice, lam is not inverted
    assert torch.equal(plan.lam[mixed], always.lam[mixed])
    assert torch.equal(plan.mask[mixed], always.mask[mixed])
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r"p: expected a probability in \[0, 1\]"):
            make(name, p=p)


@pytest.mark.parametrize("name", NAMES)
def test_lam_1_is_the_identity(name: str) -> None:
    policy, images = make(name), torch.rand(200, 3, 8, 8)
    plan = plan_of(policy, images)
    # a label by content may be 1 where something of no content is covered
    whole = (plan.mask == 1).flatten(1).all(1)
    kept = whole if policy.traits.label == "content" else plan.weight == 1
    assert torch.equal(mixed_by(policy, images, plan)[kept], images[kept])
    if policy.traits.learned:
        features = torch.randn(2, CHANNELS, 4, 4)
        mask = policy.mixer(features, features.flip(0), torch.ones(2), (8, 8))
        assert torch.equal(mask, torch.ones_like(mask))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_low_precision_images(name: str, dtype: torch.dtype) -> None:
    policy = make(name)
    side = 8 if policy.traits.seam == "feature" else 64
    images = torch.rand(4, 3, side, side)
    wanted, plan = plan_of(policy, images), plan_of(policy, images.to(dtype))
    mixed = mixed_by(policy, images.to(dtype), plan)
    assert mixed.dtype == dtype
    traits, looks = policy.traits, policy.traits.reads_pixels
    if not looks:
        assert torch.allclose(mixed.float(), mixed_by(policy, images, wanted), atol=0.02)
    seen = {
        "lam": not traits.draws_lam,
        "mask": looks,
        "weight": looks and traits.label == "area",
    }
    for part, from_pixels in seen.items():
        assert getattr(plan, part).dtype == torch.float32
        if not from_pixels:
            assert torch.equal(getattr(plan, part), getattr(wanted, part))
        elif part != "mask":
            assert torch.allclose(getattr(plan, part), getattr(wanted, part), atol=0.01)
    apart = (plan.mask - wanted.mask).abs().flatten()
    assert apart.mean() <= 1e-2
    assert apart.quantile(0.99) <= 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_default_precision_changes_nothing(name: str, dtype: torch.dtype) -> None:
    policy = make(name)
    side = 8 if policy.traits.seam == "feature" else 64
    images = torch.rand(4, 3, side, side, dtype=torch.float32)
    wanted = plan_of(policy, images)
    torch.set_default_dtype(dtype)
    try:
        plan = plan_of(policy, images)
        mixed = mixed_by(policy, images, plan)
    finally:
        torch.set_default_dtype(torch.float32)
    for part in ("lam", "index", "mask", "weight"):
        assert getattr(plan, part).dtype == getattr(wanted, part).dtype, part
        assert torch.equal(getattr(plan, part), getattr(wanted, part)), part
    assert torch.equal(mixed, mixed_by(policy, images, wanted))


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_depends_on_pixels_only_where_the_policy_says_so(name: str) -> None:
    policy = make(name)
    first, other = (plan_of(policy, torch.rand(4, 3, 16, 16)) for _ in range(2))
    assert torch.equal(first.mask, other.mask) is not policy.traits.reads_pixels
    drawn = policy.traits.draws_lam or not policy.traits.reads_pixels
    assert torch.equal(first.lam, other.lam) is drawn


@pytest.mark.parametrize("name", NAMES)
def test_the_apply_side_compiles_without_a_break(name: str) -> None:
    policy, images = make(name), torch.rand(4, 3, 8, 8)
    plan, target = plan_of(policy, images).detach(), torch.arange(4)

    def apply(images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return mixed_by(policy, images, plan), mix_targets(target, plan, 4)

    torch._dynamo.reset()
    compiled = torch.compile(apply, fullgraph=True, backend="aot_eager")
    for ours, wanted in zip(compiled(images, target), apply(images, target), strict=True):
        assert torch.allclose(ours, wanted, atol=1e-6)


def test_names_and_options_are_checked() -> None:
    with pytest.raises(ValueError, match="got 'cutmixx'; the nearest is 'cutmix'"):
        create_policy("cutmixx")
    with pytest.raises(ValueError, match=r"alhpa: unknown option of policy 'cutmix'.*'alpha'"):
        create_policy("cutmix", alhpa=1.0)
    with pytest.raises(ValueError, match=r"unknown option of policy 'none'.*takes none"):
        create_policy("none", alpha=1.0)
    for name in ("mixup", "cutmix", "mixup-cutmix", "samix"):
        for alpha in (0.0, -1.0, math.inf, math.nan):
            with pytest.raises(ValueError, match="alpha: expected a number above 0"):
                make(name, alpha=alpha)
        with pytest.raises(TypeError, match="alpha: expected a number, got 'x'"):
            make(name, alpha="x")


@pytest.mark.parametrize("name", [name for name in NAMES if make(name).traits.needs])
def test_a_policy_says_what_it_misses(name: str) -> None:
    policy, images = make(name), torch.rand(4, 3, 8, 8)
    with pytest.raises(ValueError, match=f"evidence: policy '{name}' expected the .*, got none; "):
        policy.plan(images)


def test_what_is_excused_is_a_test_and_has_a_reason() -> None:
    tests = {name for name in globals() if name.startswith("test_")}
    for name in NAMES:
        for test, reason in make(name).traits.excused.items():
            assert test in tests
            assert len(reason.split()) > 5


def test_a_learned_policy_says_what_it_misses() -> None:
    with pytest.raises(ValueError, match="channels: policy 'samix' expected"):
        create_policy("samix")
    with pytest.raises(ValueError, match="evidence: policy 'samix' expected the features"):
        make("samix").plan(torch.rand(2, 3, 8, 8))
    with pytest.raises(ValueError, match="features: expected 6 channels"):
        make("samix").plan(
            torch.rand(2, 3, 8, 8), evidence=Evidence(features=torch.rand(2, 5, 4, 4))
        )
