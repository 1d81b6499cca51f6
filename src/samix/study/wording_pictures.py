"""The words below the pictures of a study."""

from __future__ import annotations

from samix.pages.words import NOTHING, Words, name_words

RULES = {
    "visibility": Words("visible content", "見えている内容の割合"),
    "pairs": Words("share allowed for the pair", "クラスの組み合わせの上限"),
    "plausibility": Words("plausibility", "もっともらしさ"),
    "range": Words("distance of weight, area and lam", "ラベル比率・面積・lam の差"),
}
ORIGINAL = Words("original", "元画像")
PARTNER = Words("partner", "相手画像")
MASK = Words("mask", "マスク")
MIX = Words("mix", "混合画像")
ACCEPTED = Words("guard: accepted", "ガード: 合格")
REPAIRED = Words("guard: would repair it", "ガード: 修正対象")
NO_LOOKER = Words(
    "This kind of network has no feature map that Grad-CAM could read.",
    "この種類のネットワークには Grad-CAM で読める特徴マップがありません。",
)
NO_PHOTOS = Words("The test part has no photo.", "テスト用の写真がありません。")
NO_MIXING = Words("It mixes nothing.", "この手法は混合を行いません。")
FEW_PHOTOS = Words("The train part has fewer than two photos.", "学習用の写真が 2 枚未満です。")
NO_ATTENTION = Words(
    "The run's guard looks at a network's attention, which is not kept: no verdict is shown.",
    "この学習のガードはネットワークの注目を使いますが、保存されていないため判定は表示できません。",
)


def no_captum_words() -> Words:
    """Say what is missing for pictures."""
    return Words(
        "There are no pictures, since captum is not installed: install samix[poc] and run the same "
        "command again.",
        "captum がインストールされていないため画像はありません。samix[poc] をインストールし、同じ"
        "コマンドを再実行してください。",
    )


def no_run_words(policy: str) -> Words:
    """Say that a policy has no finished run."""
    return Words(
        f"There is no picture of {policy}: none of its trainings has finished.",
        f"{policy} の画像はありません: 完了した学習がありません。",
    )


def mixes_caption(
    policy: str, run: str, *, guarded: bool, marked: bool, labels: bool = True
) -> Words:
    """Say how to read a row of mixes.

    Args:
        policy: Whose mixes.
        run: What its run is called.
        guarded: The run had a guard.
        marked: Defects have an outline.
        labels: The run learned from labels.
    """
    line = (
        Words("the soft label", "ソフトラベル")
        if labels
        else Words(
            "what each photo has of the mix (no label was learned from)",
            "各写真の比率(ラベルは学習に使っていません)",
        )
    )
    lines = (
        Words(
            " Orange surrounds the marked defect of the original, blue that of the partner.",
            "橙色の線は元画像の、青色の線は相手画像の欠陥を囲んでいます。",
        )
        if marked
        else NOTHING
    )
    off = (
        NOTHING
        if guarded
        else Words(
            " The guard was off in this study; this is what it would have said.",
            "この検証ではガードは無効で、有効だった場合の判定を示しています。",
        )
    )
    return (
        Words(
            f"Mixes of {policy} as they are drawn in training ({run}). In the mask, white keeps "
            "the original and black the partner. lam is the share of the original that was drawn, "
            f"area the share that the mask gives it; the line above is {line.en}. A mix whose "
            "label promises what cannot be seen would teach something wrong: the guard says so.",
            f"学習中と同じように作った {policy} の混合画像です({run})。マスクの白は元画像、黒は"
            "相手画像を残す部分です。lam は抽選された元画像の割合、面積はマスクが元画像に与える割合"
            f"、見出しは{line.ja}です。見えていないものをラベルが示す混合画像は誤った学習につながる"
            "ため、ガードが判定します。",
        )
        + lines
        + off
    )


def where_caption(
    run_names: str, looker: str, fields: tuple[int, int], *, marked: bool, classes: bool = True
) -> Words:
    """Say how to read where the models look.

    Args:
        run_names: What the runs are called.
        looker: How it was found.
        fields: Rows and columns of its map.
        marked: Defects have an outline.
        classes: The networks name classes.
    """
    rows, columns = fields
    decides = (
        Words("decide for the class that it names", "表示のクラスと判断した")
        if classes
        else Words("describe the photo as it does", "写真をそのように表現した")
    )
    lines = Words(" Blue surrounds the marked defect.", "青色の線は欠陥を囲んでいます。")
    told = Words(
        f"Yellow and red is where the network finds what makes it {decides.en}; grey did not "
        "matter to it. It should be hot where you would look yourself. Made by "
        f"{looker} with {rows} x {columns} fields, so it shows an area and not an edge ({run_names}"
        ").",
        f"黄色や赤は、ネットワークが{decides.ja}根拠となる箇所で、灰色は影響しなかった箇所"
        f"です。人が見る箇所と一致しているかを確認してください。{looker} による {rows} x {columns} "
        f"区画の粗い表示で、輪郭ではなく領域を示します({run_names})。",
    )
    return told + lines if marked else told


def of_class(what: Words, name: str, file: str) -> Words:
    """Name a photo with its class and its file."""
    more = ", ".join(word for word in (name, file) if word)
    return what + Words(f": {more}", f": {more}") if more else what


def numbers_words(lam: float, area: float) -> Words:
    """Write lam and area of a mix."""
    return Words(f"lam {lam:.2f}, area {area:.2f}", f"lam {lam:.2f}、面積 {area:.2f}")


def rule_words(rule: str, number: float, limit: float, *, least: bool, passed: bool) -> Words:
    """Say what a rule of the guard found."""
    name = RULES.get(rule, name_words(rule))
    bound = (
        Words(f"at least {limit:.2f} is needed", f"{limit:.2f} 以上が必要")
        if least
        else Words(f"at most {limit:.2f} is allowed", f"{limit:.2f} 以下が必要")
    )
    state = Words("kept", "適合") if passed else Words("broken", "違反")
    return Words(
        f"Guard, {name.en}: {number:.2f}, {bound.en}: {state.en}.",
        f"ガード、{name.ja}: {number:.2f}({bound.ja}): {state.ja}。",
    )


def taken_words(policy: str, name: str, sure: float, *, cold: bool) -> Words:
    """Say what a network takes a photo for; nothing where it knows no classes."""
    told = name_words(policy)
    if name:
        told += Words(f": taken for {name}, {sure:.0%}", f": {name} と判定、{sure:.0%}")
    if not cold:
        return told
    return told + Words("; no place speaks for it", "(根拠となる箇所なし)")
