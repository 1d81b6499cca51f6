"use strict";
document.addEventListener("DOMContentLoaded", function () {
  var form = document.getElementById("ask"), shown = document.getElementById("mixes");
  var problem = document.getElementById("problem"), lam = document.getElementById("lam");
  var sides = Array.from(form.querySelectorAll("[data-side]"));
  var asked = 0, waiting = null;

  function tell(text) {
    problem.textContent = text;
    problem.hidden = !text;
  }
  function ask(path, body) {
    return fetch(path, { method: "POST", body: body }).then(function (answer) {
      return answer.text().then(function (text) {
        if (!answer.ok) { throw new Error(text); }
        return text;
      });
    });
  }
  function chosen(side) {
    var list = side.querySelector("select"), found = { name: side.querySelector("[type=text]").value };
    if (list.value === "") { found.photo = side.dataset.photo || ""; } else { found.position = Number(list.value); }
    return found;
  }
  function mix() {
    var turn = ++asked;
    document.getElementById("lam-now").textContent = Number(lam.value).toFixed(2);
    ask("mix", JSON.stringify({
      sides: sides.map(chosen), lam: Number(lam.value),
      seed: Math.max(0, Math.floor(Number(document.getElementById("seed").value) || 0)),
      policies: Array.from(form.querySelectorAll("[name=policy]:checked")).map(function (one) { return one.value; })
    })).then(function (text) {
      if (turn !== asked) { return; }
      shown.innerHTML = text;
      tell("");
    }, function (error) { if (turn === asked) { tell(error.message); } });
  }
  function soon() {
    clearTimeout(waiting);
    waiting = setTimeout(mix, 60);
  }
  function named(side) {
    var option = side.querySelector("select").selectedOptions[0];
    side.querySelector("[type=text]").value = (option && option.dataset.class) || "";
  }
  function take(side, file) {
    if (!file) { return; }
    if (file.size > Number(form.dataset.most)) { tell(form.dataset.large); return; }
    ask("photo", file).then(function (name) {
      side.dataset.photo = JSON.parse(name);
      side.querySelector("select").value = "";
      named(side);
      mix();
    }, function (error) { tell(error.message); });
  }

  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.addEventListener("input", function (event) {
    if (event.target.type !== "file") { soon(); }
  });
  sides.forEach(function (side) {
    var file = side.querySelector("[type=file]");
    side.querySelector("select").addEventListener("change", function () { named(side); soon(); });
    file.addEventListener("change", function () { take(side, file.files[0]); });
    side.addEventListener("dragover", function (event) { event.preventDefault(); });
    side.addEventListener("drop", function (event) {
      event.preventDefault();
      take(side, event.dataTransfer.files[0]);
    });
    side.addEventListener("paste", function (event) {
      if (event.clipboardData.files.length) {
        event.preventDefault();
        take(side, event.clipboardData.files[0]);
      }
    });
  });
  document.getElementById("another").addEventListener("click", function () {
    ask("draw", "").then(function (text) {
      JSON.parse(text).forEach(function (place, k) {
        sides[k].querySelector("select").value = String(place);
        named(sides[k]);
      });
      mix();
    }, function (error) { tell(error.message); });
  });
});
