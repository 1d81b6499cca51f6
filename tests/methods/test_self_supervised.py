from __future__ import annotations

import copy
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samix import (
    POLICIES,
    MixerOptions,
    SelfSupervisedMethod,
    blend,
    create_method,
    create_policy,
    eta_balanced_loss,
    global_loss,
    queue_candidates,
    small_stem,
)
from samix.methods import RIVALS, SELF_SUPERVISED
from samix.mixing import step_generator
from samix.networks import (
    FeatureClassifier,
    Projected,
    create_backbone,
    embedding_width,
    features_and_embedding,
    find_tap,
    tap_features,
    unit,
)
from samix.policies import Evidence

SMALL: dict[str, Any] = {
    "backbone": "resnet18",
    "stem": "small",
    "model_kwargs": {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)},
}
Views = tuple[Tensor, Tensor]


def make(name: str = "moco", policy: Any = "samix", **options: Any) -> SelfSupervisedMethod:
    torch.manual_seed(0)
    if name == "moco":
        options.setdefault("queue_size", 16)
    method = create_method(name, policy=policy, **{**SMALL, **options})
    assert isinstance(method, SelfSupervisedMethod)
    return method


def batch(size: int = 6) -> Views:
    generator = torch.Generator().manual_seed(1)
    first = torch.randn(size, 3, 16, 16, generator=generator)
    return first, first + 0.3 * torch.randn(size, 3, 16, 16, generator=generator)


def touched(method: nn.Module) -> set[str]:
    return {
        name.split(".")[0]
        for name, parameter in method.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().max() > 0
    }


def averaged(method: SelfSupervisedMethod) -> Projected:
    assert method.average is not None
    assert isinstance(method.average.module, Projected)
    return method.average.module


@pytest.mark.parametrize("cross_view", [False, True])
def test_a_moco_step_against_an_independent_calculation(cross_view: bool) -> None:
    method = make(eta=0.3, cross_view=cross_view, area_weight=0.0, cost="full").eval()
    first, second = batch()
    queue = method.queue
    assert queue is not None
    assert method.tap is not None
    negatives = queue.keys.clone()
    generator = copy.deepcopy(method.counter).next_generator()
    step = method((first, second))

    average = averaged(method)
    key, other_key = unit(average(second)), unit(average(first))
    features = tap_features(average.backbone, first, method.tap)
    partner_features = tap_features(average.backbone, second, method.tap) if cross_view else None
    evidence = Evidence(features, partner_features)
    plans = [
        method.policy.plan(first, evidence=evidence, generator=generator).detach() for _ in range(2)
    ]
    source = second if cross_view else first
    partner_key = other_key if cross_view else key  # never the key of the view that is mixed in
    losses = []
    for plan, network in zip(plans, (method.network, average), strict=True):
        mixed = plan.mask * first + (1 - plan.mask) * source[plan.index]
        query = unit(network(mixed))
        logits = torch.cat(
            [
                (query * key).sum(1, keepdim=True),
                (query * partner_key[plan.index]).sum(1, keepdim=True),
                query @ negatives.t(),
            ],
            dim=1,
        )
        a, b = torch.zeros(6, dtype=torch.int64), torch.ones(6, dtype=torch.int64)
        losses.append((logits / 0.2, a, b, plan.lam))
    wanted = global_loss(*losses[0]) + eta_balanced_loss(*losses[1], 0.3)
    assert step.loss.item() == pytest.approx(wanted.item(), abs=1e-5)
    # the keys of this step wait for the next one
    assert torch.allclose(queue.keys[:6], key)
    assert torch.equal(queue.keys[6:], negatives[6:])
    assert queue.pointer == 6


def spread(weight: Tensor, index: Tensor, width: int) -> Tensor:
    """Return (B,K) targets: weight at one's own place, the rest at the partner's."""
    rows = torch.zeros(len(weight), width)
    for i, j in enumerate(index.tolist()):
        rows[i, i] += weight[i]
        rows[i, j] += 1 - weight[i]
    return rows


def soft(logits: Tensor, target: Tensor) -> Tensor:
    return -(target * logits.log_softmax(1)).sum(1).mean()


@pytest.mark.parametrize("name", ["simclr", "byol", "mocov3"])
def test_other_steps_against_an_independent_calculation(name: str) -> None:
    method = make(name, "cutmix").eval()
    first, second = batch()
    generator = copy.deepcopy(method.counter).next_generator()
    losses = []
    directions = [(first, second)] if name == "simclr" else [(first, second), (second, first)]
    for query_view, key_view in directions:
        plan = method.policy.plan(query_view, generator=generator)
        mixed = plan.mask * query_view + (1 - plan.mask) * query_view[plan.index]
        projection = method.network(mixed)
        if name == "simclr":
            query, key = unit(projection), unit(method.network(key_view))
        else:
            assert method.predictor is not None
            query, key = unit(method.predictor(projection)), unit(averaged(method)(key_view))
        if name == "byol":
            wanted = plan.weight[:, None] * key + (1 - plan.weight[:, None]) * key[plan.index]
            losses.append((2 - 2 * (query * wanted).sum(1)).mean())
        else:
            losses.append(soft(query @ key.t() / 0.2, spread(plan.weight, plan.index, 6)))
    step = method((first, second))
    assert step.loss.item() == pytest.approx(torch.stack(losses).mean().item(), abs=1e-5)


@pytest.mark.parametrize("rival", ["mixco", "i-mix", "un-mix", "mochi", "sdmp"])
def test_the_step_of_a_rival_against_an_independent_calculation(rival: str) -> None:
    method = make("moco", rival).eval()
    first, second = batch()
    queue = method.queue
    assert queue is not None
    negatives = queue.keys.clone()
    generator = copy.deepcopy(method.counter).next_generator()
    plan = method.policy.plan(first, generator=generator)
    key = unit(averaged(method)(second))
    clean_query = unit(method.network(first))
    clean = torch.cat([(clean_query * key).sum(1, keepdim=True), clean_query @ negatives.t()], 1)
    own = torch.zeros(6, dtype=torch.int64)
    if rival == "mochi":
        hard = method.objective.hard
        assert hard is not None
        made = hard.make(clean_query.detach(), negatives, generator)
        assert made.shape == (6, hard.mixed + hard.with_query, key.shape[1])
        clean = torch.cat([clean, torch.einsum("bp,bsp->bs", clean_query, made)], 1)
        wanted = F.cross_entropy(clean / 0.2, own)
    else:
        weight, index = plan.weight, plan.index
        query = unit(method.network(plan.mask * first + (1 - plan.mask) * first[index]))
        both = torch.cat([query @ key.t(), query @ negatives.t()], 1) / 0.2
        pair = torch.stack([(query * key).sum(1), (query * key[index]).sum(1)], 1)
        if rival == "mixco":
            logits = torch.cat([pair, query @ negatives.t()], 1) / 0.2
            target = torch.zeros_like(logits)
            target[:, 0], target[:, 1] = weight, 1 - weight
            wanted = soft(logits, target)
        elif rival == "un-mix":
            parts = [torch.cat([pair[:, n : n + 1], query @ negatives.t()], 1) for n in (0, 1)]
            each = [F.cross_entropy(part / 0.2, own, reduction="none") for part in parts]
            wanted = (weight * each[0] + (1 - weight) * each[1]).mean()
        else:
            wanted = soft(both, spread(weight, index, both.shape[1]))
        if rival == "sdmp":
            mixed_key = unit(averaged(method)(plan.mask * second + (1 - plan.mask) * second[index]))
            logits = torch.cat([query @ mixed_key.t(), query @ negatives.t()], 1) / 0.2
            for i, j in enumerate(index.tolist()):
                if int(index[j]) != i:  # the mix that takes j as its partner holds j, too
                    logits[j, i] = -torch.inf
            common = [
                sum(
                    min(
                        {i: float(weight[i]), j: 1 - float(weight[i])}.get(source, 0.0),
                        {j: float(weight[j]), int(index[j]): 1 - float(weight[j])}[source],
                    )
                    for source in (j, int(index[j]))
                )
                for i, j in enumerate(index.tolist())
            ]
            share = 1 / (1 + torch.tensor(common))
            log_p = logits.log_softmax(1)
            mine, other = log_p.diagonal(), log_p.gather(1, index[:, None]).squeeze(1)
            wanted = wanted - (share * mine + (1 - share) * other).mean()
        if rival != "i-mix":
            wanted = wanted + F.cross_entropy(clean / 0.2, own)
    assert method((first, second)).loss.item() == pytest.approx(wanted.item(), abs=1e-5)


# they ask a classifier, or mix inside it
LABELLED = {
    "puzzlemix", "snapmix", "manifold-mixup", "alignmix", "transmix", "tokenmix", "smmix",
    "recursivemix", "co-mixup",
}  # fmt: skip


@pytest.mark.parametrize("name", SELF_SUPERVISED)
@pytest.mark.parametrize("policy", [*POLICIES, *RIVALS])
def test_every_policy_in_every_method(name: str, policy: str) -> None:
    if policy in RIVALS and name not in RIVALS[policy].methods:
        with pytest.raises(ValueError, match=f"'{policy}' is defined for"):
            make(name, policy)
        return
    if policy in LABELLED:
        with pytest.raises(ValueError, match=f"got '{policy}'; use it in method 'supervised'"):
            make(name, policy)
        return
    if policy == "adautomix" or (policy, name) == ("automix", "byol"):
        with pytest.raises(ValueError, match=f"policy: '{policy}' has no loss for its Mixer"):
            make(name, policy)
        return
    method = make(name, policy)
    views = batch()
    before = [view.clone() for view in views]
    step = method(views)
    step.loss.backward()
    method.update_momentum()
    assert torch.isfinite(step.loss)
    assert ("predictor" in touched(method)) == (name in ("byol", "mocov3"))
    assert touched(method) - {"policy", "predictor"} == {"network"}
    assert ("policy" in touched(method)) == (policy in ("samix", "automix"))
    assert all(torch.equal(*pair) for pair in zip(views, before, strict=True))
    assert ("clean" in step.terms) == (policy in RIVALS and RIVALS[policy].clean_branch)


@pytest.mark.parametrize("cross_view", [False, True])
@pytest.mark.parametrize("name", SELF_SUPERVISED)
def test_gradients_never_cross(
    name: str, cross_view: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder's loss reaches no Mixer, the Mixer's loss no other network."""
    if cross_view and name == "simclr":
        return  # refused, see test_bad_options
    method, views = make(name, clean_branch=True, cross_view=cross_view), batch()
    with_mixer, without = copy.deepcopy(method), copy.deepcopy(method)
    mixer_alone = copy.deepcopy(method)
    with_mixer(views).loss.backward()
    query, key = mixer_alone._look(*views)
    keys = mixer_alone._momentum_keys(query, key)
    mixer_alone._mixer_loss(query, key, keys, step_generator(0, 0))[0].backward()
    assert touched(mixer_alone) == {"policy"}

    monkeypatch.setattr(type(without.policy), "learns", False)
    if name in ("moco", "simclr"):  # one direction: the encoder's draws come first and stay
        without(views).loss.backward()
        for ours, theirs in zip(
            with_mixer.network.parameters(), without.network.parameters(), strict=True
        ):
            assert ours.grad is not None
            assert theirs.grad is not None
            assert torch.equal(ours.grad, theirs.grad)
    else:
        without(views).loss.backward()
    heads = {"predictor"} if name in ("byol", "mocov3") else set()
    assert touched(without) == {"network", *heads}
    assert all(p.grad is None for p in without.policy.parameters())  # type: ignore[attr-defined]
    assert all(p.grad is None for p in averaged(with_mixer).parameters())


@pytest.mark.parametrize("name", ["moco", "byol", "mocov3"])
def test_a_key_depends_on_its_image_alone(name: str) -> None:
    """No information leaks through batch statistics: keys never see the rest of the batch."""
    method = make(name).train()
    first, second = batch()
    for _ in range(3):
        method((first, second))
        method.update_momentum()
    key = method._look(first, second)[1].key
    others = second.clone()
    others[1:] = torch.randn_like(others[1:])
    changed = method._look(first, others)[1].key
    assert key is not None
    assert changed is not None
    assert torch.equal(key[0], changed[0])
    assert not torch.allclose(key[1:], changed[1:], atol=1e-3)


@pytest.mark.parametrize("cross_view", [False, True])
def test_pair_locality(cross_view: bool) -> None:
    """Mask features and mixed pixels belong to the same two images and views, and to no third."""
    method = make(cross_view=cross_view)
    first, second = (view.requires_grad_(True) for view in batch())
    plan = method.plan((first, second), generator=step_generator(0, 0))
    mixed = method.mixed((first, second), plan)
    i = 2
    j = int(plan.index[i])
    gradients = torch.autograd.grad(mixed[i].sum(), (first, second), allow_unused=True)
    source = second if cross_view else first
    for view, gradient in zip((first, second), gradients, strict=True):
        hit = torch.zeros(len(view)) if gradient is None else gradient.flatten(1).any(1)
        reached = set(hit.nonzero().flatten().tolist())
        assert reached == ({i} if view is first else set()) | ({j} if view is source else set())

    # the mask of the pair alone is the mask in the batch
    assert method.tap is not None
    average = averaged(method)
    own = tap_features(average.backbone, first, method.tap)[i : i + 1]
    partner = tap_features(average.backbone, source, method.tap)[j : j + 1]
    mixer: Any = method.policy.mixer  # type: ignore[attr-defined]
    alone = mixer(own, partner, plan.lam[i : i + 1], (16, 16))
    assert torch.allclose(alone[0], plan.mask[i], atol=1e-5)


def test_at_lam_one_the_mix_is_the_unmixed_image() -> None:
    method = make(policy=create_policy("mixup", p=0.0)).eval()
    views = batch()
    negatives = method.queue.keys.clone()  # type: ignore[union-attr]
    step = method(views)
    query, key = unit(method.network(views[0])), unit(averaged(method)(views[1]))
    assert step.plan is not None
    partner = key[step.plan.index]
    logits = queue_candidates(query, key, partner, negatives, 0.2).logits
    plain = F.cross_entropy(logits, torch.zeros(6, dtype=torch.int64))
    assert step.loss.item() == pytest.approx(plain.item(), abs=1e-6)


def test_extended_positives_lie_on_the_line_through_both_keys() -> None:
    method = make(extended_positives=True, cross_view=True)
    query, key = method._look(*batch())
    assert query.key is not None
    assert key.key is not None
    keys = method._momentum_keys(query, key)
    weight = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 1.0])
    found = keys.extended(query.key, weight)
    for row in range(6):
        share = weight[row].item()
        own = unit(share * key.key[row : row + 1] + (1 - share) * query.key[row : row + 1])[0]
        seen = unit(share * query.key[row : row + 1] + (1 - share) * key.key[row : row + 1])[0]
        torch.testing.assert_close(found.own[row], own)
        torch.testing.assert_close(found.all[row], own)
        assert found.other_view is not None
        torch.testing.assert_close(found.other_view[row], seen)
    assert torch.equal(keys.all, key.key), "the keys of the encoder stay"


@pytest.mark.parametrize("name", ["moco", "simclr"])
def test_extended_positives_change_what_the_mixer_learns_and_nothing_else(name: str) -> None:
    plain, extended = make(name, seed=3), make(name, seed=3, extended_positives=True)
    steps = [method(batch()) for method in (plain, extended)]
    assert steps[0].terms["encoder"].item() == pytest.approx(steps[1].terms["encoder"].item())
    assert steps[0].terms["mixer"].item() != pytest.approx(steps[1].terms["mixer"].item(), abs=1e-6)


@pytest.mark.parametrize("name", ["mocov3", "byol"])
def test_extended_positives_serve_both_directions(name: str) -> None:
    step = make(name, extended_positives=True)(batch())
    assert step.loss.isfinite()
    step.loss.backward()


def test_clusters_replace_instances_once_the_queue_is_full() -> None:
    method = make(mixer_candidates="clusters", clusters=3, cluster_every=2, queue_size=12)
    views = batch()
    assert method.clusters is not None
    for wanted in (False, True, True):
        method(views)
        assert method.clusters.ready == wanted
    keys = method._momentum_keys(*method._look(*views))
    candidates = method._judge(views[0], keys, torch.arange(6))
    assert candidates.logits.shape == (6, 3)
    byol = make("byol", mixer_candidates="clusters", clusters=3)
    assert byol.queue is not None


@pytest.mark.parametrize("name", SELF_SUPERVISED)
def test_four_steps_equal_two_a_checkpoint_and_two(name: str) -> None:
    def steps(method: SelfSupervisedMethod, count: int, optimizer: torch.optim.Optimizer) -> None:
        for _ in range(count):
            method(batch()).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            method.update_momentum()

    def fresh(seed: int) -> tuple[SelfSupervisedMethod, torch.optim.Optimizer]:
        grouped = {"mixer_candidates": "clusters", "clusters": 3, "queue_size": 12}
        options = grouped if name == "moco" else {}
        method = make(name, steps=4, seed=5, **options)
        torch.manual_seed(seed)
        for parameter in method.parameters():
            parameter.data.add_(seed * torch.randn_like(parameter))
        return method, torch.optim.SGD(method.parameter_groups(0.05), momentum=0.9)

    whole, optimizer = fresh(0)
    steps(whole, 4, optimizer)
    half, optimizer = fresh(0)
    steps(half, 2, optimizer)
    state, optimizer_state = half.state_dict(), optimizer.state_dict()
    resumed, optimizer = fresh(1)
    resumed.load_state_dict(state)
    optimizer.load_state_dict(optimizer_state)
    steps(resumed, 2, optimizer)
    for name_, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name_]), name_


def test_the_exported_backbone_is_plain_timm() -> None:
    method = make()
    model = method.export()
    assert type(model).__module__.startswith("timm.")
    plain = timm.create_model("resnet18", num_classes=0, **SMALL["model_kwargs"])
    small_stem(plain).load_state_dict(model.state_dict())
    assert model(batch()[0]).shape == (6, 8)
    assert method.export(average=True) is not method.average_encoder()
    with pytest.raises(ValueError, match="keeps no momentum average"):
        make("simclr", "cutmix").export(average=True)


@pytest.mark.parametrize("name", SELF_SUPERVISED)
def test_the_held_out_loss_changes_nothing(name: str) -> None:
    method = make(name).train()
    state = copy.deepcopy(method.state_dict())
    loss = method.held_out_loss(batch())
    assert method.held_out_loss(batch()) == loss
    assert method.training
    assert method.network.training
    assert method.average is None or not method.average.training
    for key, value in method.state_dict().items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize("name", SELF_SUPERVISED)
def test_signs_of_life(name: str) -> None:
    method = make(name)
    signs = method.signs_of_life(batch())
    again = method.signs_of_life(batch())
    assert {"mask_deviation", "samix_local", "mixup_global", "cutmix_local"} <= set(signs)
    assert all(torch.equal(value, again[key]) for key, value in signs.items())
    assert make(name, "cutmix").signs_of_life(batch()) == {}


def test_a_module_of_ones_own_and_a_vit() -> None:
    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 6, 3, stride=2, padding=1)

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            features = self.layer(images)
            return features, features.mean((2, 3))

    method = create_method("moco", backbone=Body(), queue_size=8)
    method(batch()).loss.backward()
    assert isinstance(method.encoder, FeatureClassifier)
    assert method.encoder(batch()[0]).shape == (6, 6)
    vit = create_method(
        "mocov3",
        backbone="vit_tiny_patch16_224",
        stem="small",
        image_size=16,
        model_kwargs={"embed_dim": 16, "depth": 2, "num_heads": 2},
    )
    assert torch.isfinite(vit(batch()).loss)


@pytest.mark.parametrize(
    "family",
    ["resnet18", "convnext_atto", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224",
     "mobilenetv3_small_100"],
)  # fmt: skip
def test_one_pass_gives_the_features_and_the_embedding(family: str) -> None:
    model = create_backbone(family, num_classes=0, stem="small", image_size=32).eval()
    tap, images = find_tap(model), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        features, embedding = features_and_embedding(model, images, tap)
        assert torch.allclose(features, tap_features(model, images, tap), atol=1e-5)
        assert torch.allclose(embedding, model(images), atol=1e-5)
        assert embedding_width(model) == embedding.shape[1]


@pytest.mark.parametrize(
    ("views", "error", "sentence"),
    [
        (lambda a, b: (a,), ValueError, "expected two views of each image, got 1"),
        (lambda a, b: ((a, b), a), TypeError, "expected two tensors .*got tuple; a loader that"),
        (lambda a, b: a, TypeError, "got one tensor"),
        (lambda a, b: (a, b[:, :, :8]), ValueError, "of one shape, got"),
        (lambda a, b: (a[:1], b[:1]), ValueError, "a batch of at least 2 images"),
    ],
)
def test_views_that_do_not_fit(views: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        make()(views(*batch()))


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="nearest is 'queue_size'"):
        make(queue_sise=3)
    with pytest.raises(ValueError, match="queue_size: expected None with method 'simclr'"):
        make("simclr", queue_size=8)
    with pytest.raises(ValueError, match="temperature: expected a number above 0, got 0"):
        make(temperature=0.0)
    with pytest.raises(ValueError, match="cross_view: expected False with method 'simclr'"):
        make("simclr", cross_view=True)
    with pytest.raises(ValueError, match="clean_branch: expected None or False with policy 'none'"):
        make(policy="none", clean_branch=True)
    with pytest.raises(ValueError, match="queue_size: expected at least the 6 keys"):
        make(queue_size=4)(batch())
    with pytest.raises(ValueError, match="queue_size: expected at least 1, got 0"):
        make(queue_size=0)
    with pytest.raises(ValueError, match="cross_view: expected False where mixes are compared"):
        make(policy="sdmp", cross_view=True)
    with pytest.raises(ValueError, match="extended_positives: expected False with policy 'mixup'"):
        make(policy="mixup", extended_positives=True)
    with pytest.raises(ValueError, match="expected 'instances' with policy 'cutmix'"):
        make(policy="cutmix", mixer_candidates="clusters")
    with pytest.raises(ValueError, match="'i-mix' is for self-supervised methods"):
        create_method("supervised", num_classes=2, **{**SMALL, "policy": "i-mix"})
    with pytest.raises(ValueError, match="feature map and a"):
        create_method("moco", backbone=nn.Flatten(), policy="samix")
    timm_model = timm.create_model("resnet18", num_classes=3)
    with pytest.raises(ValueError, match=r"reset_classifier\(0\)"):
        create_method("moco", backbone=timm_model)


def test_a_mix_blended_by_hand_is_that_of_the_method() -> None:
    method = make("moco", "cutmix")
    views = batch()
    plan = method.plan(views, generator=step_generator(1, 0))
    assert torch.equal(method.mixed(views, plan), blend(views[0], plan))


@pytest.mark.parametrize("name", SELF_SUPERVISED)
def test_similarities_keep_their_digits_under_autocast(name: str) -> None:
    """Early projections are nearly parallel: bfloat16 similarities could not tell them apart."""
    method = make(name)
    with torch.autocast("cpu", torch.bfloat16):
        step = method(batch())
        assert method.held_out_loss(batch()).dtype == torch.float32
    assert step.logits is not None
    assert step.logits.dtype == torch.float32
    # bfloat16 knows multiples of 1/128 to 1/32 alone in this range
    assert (step.logits * 256).frac().abs().max() > 1e-3
    assert step.plan is not None
    assert step.plan.mask.dtype == torch.float32


def test_the_candidates_compile_without_a_break() -> None:
    def loss(query: Tensor, key: Tensor, negatives: Tensor, index: Tensor, lam: Tensor) -> Tensor:
        return eta_balanced_loss(*queue_candidates(query, key, key[index], negatives, 0.2), lam)

    tensors = [unit(torch.randn(count, 8)) for count in (4, 4, 6)]
    arguments = (*tensors, torch.tensor([1, 2, 3, 0]), torch.rand(4))
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(*arguments), loss(*arguments))


def test_a_frozen_mixer_of_the_papers_form_keeps_its_statistics() -> None:
    method = make(mixer=MixerOptions(start="paper"))
    method.policy.requires_grad_(False).eval()  # type: ignore[attr-defined]
    before = copy.deepcopy(method.policy.state_dict())  # type: ignore[attr-defined]
    method.train()(batch())
    for name, value in method.policy.state_dict().items():  # type: ignore[attr-defined]
        assert torch.equal(value, before[name]), name
    # without an image size, too
    vit = {"embed_dim": 16, "depth": 2, "num_heads": 2}
    create_method("mocov3", backbone="vit_tiny_patch16_224", policy="cutmix", model_kwargs=vit)


@pytest.mark.parametrize("policy", ["cutmix", "samix", "samix-p"])
@pytest.mark.parametrize("name", ["moco", "simclr", "byol", "mocov3"])
def test_after_the_last_mixed_batch_training_is_plain(name: str, policy: str) -> None:
    made, other = (make(name, policy, mix_batches=last) for last in (1, None))
    views = batch()
    first, same = made(views), other(views)
    assert torch.equal(first.loss, same.loss)
    assert first.plan is not None
    step = made(views)
    assert step.plan is None
    assert set(step.terms) == {"encoder"}
    step.loss.backward()
    gradients = [p.grad for p in made.policy.parameters()] if policy == "samix" else []
    assert all(g is not None and (g == 0).all() for g in gradients)
    with pytest.raises(ValueError, match="mix_batches: expected at least 0, or None for all"):
        make(name, policy, mix_batches=-1)


def test_views_of_bytes_are_refused() -> None:
    first, second = ((view * 50).to(torch.uint8) for view in batch())
    with pytest.raises(TypeError, match="views: expected normalised images of floating point"):
        make("moco", "cutmix")((first, second))


def test_a_step_that_looks_like_judging_is_told() -> None:
    method = make("moco", policy="mixup").eval()
    with torch.no_grad(), pytest.warns(UserWarning, match="is a training step all the same"):
        method((torch.randn(4, 3, 16, 16), torch.randn(4, 3, 16, 16)))
