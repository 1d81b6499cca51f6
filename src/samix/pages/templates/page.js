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
  }

  // numbers as they are written here; times in seconds
  var UNITS = { s: 1, "秒": 1, min: 60, "分": 60, h: 3600, "時間": 3600 };
  function value(cell) {
    var text = (cell ? cell.innerText : "").trim();
    var found = text.replace(/[\u2212]/g, "-").replace(/[,\u00d7\u2248\u2265\u2264<>]/g, "")
      .trim().match(/^[+]?(-?[0-9.]+)\s*(\S*)/);
    return found ? parseFloat(found[1]) * (UNITS[found[2]] || 1) : text;
  }
  function sort(table, column, head) {
    var down = head.getAttribute("aria-sort") === "ascending", body = table.tBodies[0];
    var rows = Array.from(body.rows).map(function (row) {
      return [value(row.cells[column]), row];
    });
    rows.sort(function (a, b) {
      var one = a[0], other = b[0];
      // what is not known stays last
      if (typeof one !== typeof other) { return typeof one === "number" ? -1 : 1; }
      var order = typeof one === "number" ? one - other : one.localeCompare(other);
      return down ? -order : order;
    });
    rows.forEach(function (row) { body.appendChild(row[1]); });
    table.querySelectorAll("thead th").forEach(function (one) {
      one.removeAttribute("aria-sort");
    });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  }
  document.addEventListener("DOMContentLoaded", function () {
    var button = document.getElementById("switch");
    if (button) {
      button.addEventListener("click", function () { show(root.dataset.show === "en" ? "ja" : "en"); });
    }
    document.querySelectorAll("table.sortable").forEach(function (table) {
      table.querySelectorAll("thead th").forEach(function (head, column) {
        head.tabIndex = 0;
        head.addEventListener("click", function () { sort(table, column, head); });
        head.addEventListener("keydown", function (event) {
          if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            sort(table, column, head);
          }
        });
      });
    });
    // the contents say where the reader is
    var links = Array.from(document.querySelectorAll("nav a")), now = null;
    var parts = links.map(function (link) { return document.getElementById(link.hash.slice(1)); });
    function mark() {
      var at = -1;
      parts.forEach(function (part, k) {
        if (part && part.getBoundingClientRect().top < window.innerHeight / 3) { at = k; }
      });
      if (links[at] === now) { return; }
      if (now) { now.removeAttribute("aria-current"); }
      now = links[at];
      if (now) { now.setAttribute("aria-current", "true"); }
    }
    if (links.length) {
      window.addEventListener("scroll", mark, { passive: true });
      mark();
    }
  });

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
