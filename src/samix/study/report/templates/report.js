"use strict";
(function () {
  var root = document.documentElement;
  function show(language) {
    root.dataset.show = language;
    root.lang = language;
    document.title = root.dataset[language];
  }
  if (root.dataset.show === "both") {
    show((navigator.language || "en").slice(0, 2) === "ja" ? "ja" : "en");
    document.addEventListener("DOMContentLoaded", function () {
      document.getElementById("switch").addEventListener("click", function () {
        show(root.dataset.show === "en" ? "ja" : "en");
      });
    });
  }
  // on paper nothing can be opened
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = Array.from(document.querySelectorAll("details:not([open])"));
    opened.forEach(function (one) { one.open = true; });
  });
  window.addEventListener("afterprint", function () {
    opened.forEach(function (one) { one.open = false; });
  });
})();
