// Search, filters, sorting and the theme. Every page is complete without this script.
// The state of a table is in the address: #q=mamba&sort=bytes&order=desc&status=accepted&theme=dark
"use strict";

(function () {
  const LIMIT = 500;
  const NAMES = ["q", "status", "architecture", "quantizer", "codec", "tokenizer", "show", "findings"];
  const KEYS = ["rank", "entry", "score", "gap", "bytes", "seeds", "date", "status", "findings"];
  const THEMES = ["auto", "light", "dark"];

  // The part after # wins over the part after ?. An anchor such as #GR101 is no state.
  function addressed() {
    const state = new URLSearchParams(location.search);
    const hash = location.hash.slice(1);
    if (hash.includes("=")) new URLSearchParams(hash).forEach((value, key) => state.set(key, value));
    return state;
  }

  function stored() {
    try {
      return localStorage.getItem("golfreg-theme");
    } catch {
      return null;
    }
  }

  let theme = addressed().get("theme") || stored();
  if (!THEMES.includes(theme)) theme = "auto";

  function wear() {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }
  wear(); // before the page is painted

  function themeButton() {
    const button = document.getElementById("theme");
    const say = () => (button.textContent = "Theme: " + theme);
    say();
    button.hidden = false;
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      try {
        localStorage.setItem("golfreg-theme", theme);
      } catch {
        // A browser without storage forgets the theme.
      }
      wear();
      say();
    });
  }

  function board() {
    const table = document.getElementById("board");
    if (!table) return;
    const form = document.getElementById("filters");
    const count = document.getElementById("count");
    const more = document.getElementById("more");
    const pages = document.getElementById("pages");
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const state = { sort: "rank", order: "asc", shown: LIMIT };
    let rows = [...body.rows].map(read);
    let whole = !form.dataset.rows;
    let loading = null;

    function read(tr) {
      const cells = {};
      KEYS.forEach((key, i) => {
        const text = tr.cells[i].dataset.value;
        cells[key] = text === "" ? null : ["entry", "date", "status"].includes(key) ? text : Number(text);
      });
      return { tr, cells, words: (tr.textContent + " " + tr.dataset.words).toLowerCase() };
    }

    // The rows of the other pages come when they are first asked for.
    function load() {
      if (whole) return Promise.resolve();
      loading ||= new Promise((done) => {
        const script = document.createElement("script");
        script.src = form.dataset.rows;
        script.onload = () => {
          const holder = document.createElement("template");
          holder.innerHTML = "<table><tbody>" + window.golfregRows.join("") + "</tbody></table>";
          rows = [...holder.content.querySelectorAll("tbody > tr")].map(read);
          whole = true;
          done();
        };
        script.onerror = done;
        document.head.append(script);
      });
      return loading;
    }

    function wanted(row) {
      const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
      if (!words.every((word) => row.words.includes(word))) return false;
      return NAMES.slice(1).every((name) => {
        const value = form.elements[name] ? form.elements[name].value : "";
        if (!value) return true;
        const own = row.tr.dataset[name];
        return name === "show" ? own.split(" ").includes(value) : own === value;
      });
    }

    // What has no value comes last in both directions.
    function compare(a, b) {
      const x = a.cells[state.sort];
      const y = b.cells[state.sort];
      if (x === null || y === null) return (x === null) - (y === null);
      const order = typeof x === "string" ? (x < y ? -1 : x > y ? 1 : 0) : x - y;
      return state.order === "desc" ? -order : order;
    }

    function touched() {
      return state.sort !== "rank" || state.order !== "asc" || NAMES.some((name) => form.elements[name] && form.elements[name].value);
    }

    function draw() {
      const found = rows.filter(wanted);
      // Rows come in the order of rank, and sorting keeps it among equals.
      const sorted = state.sort === "rank" && state.order === "asc" ? found : found.sort(compare);
      const shown = sorted.slice(0, state.shown);
      body.replaceChildren(...shown.map((row) => row.tr));
      const all = rows.length.toLocaleString("en");
      count.textContent =
        (found.length === rows.length ? all : found.length.toLocaleString("en") + " of " + all) +
        (rows.length === 1 ? " entry" : " entries") +
        (shown.length < found.length ? ", " + shown.length.toLocaleString("en") + " shown" : "");
      more.hidden = shown.length === found.length;
      if (pages) pages.hidden = true;
      heads.forEach((head) => {
        if (head.dataset.key !== state.sort) head.removeAttribute("aria-sort");
        else head.setAttribute("aria-sort", state.order === "asc" ? "ascending" : "descending");
      });
      form.elements.sort.value = state.sort === "gap" ? "score" : state.sort;
    }

    function update() {
      return load().then(draw);
    }

    function remember() {
      const said = new URLSearchParams();
      NAMES.forEach((name) => {
        const value = form.elements[name] ? form.elements[name].value : "";
        if (value) said.set(name, value);
      });
      if (state.sort !== "rank" || state.order !== "asc") {
        said.set("sort", state.sort);
        if (state.order === "desc") said.set("order", "desc");
      }
      if (addressed().get("theme")) said.set("theme", theme);
      try {
        history.replaceState(null, "", said.size || location.hash ? "#" + said : location.href);
      } catch {
        // The address stays as it is where the browser forbids to change it.
      }
    }

    function change() {
      state.shown = LIMIT;
      update();
      remember();
    }

    function sortBy(key, order) {
      state.sort = key;
      state.order = order;
      change();
    }

    function restore() {
      const said = addressed();
      NAMES.forEach((name) => {
        const control = form.elements[name];
        if (control) control.value = said.get(name) || "";
        if (control && control.selectedIndex === -1) control.value = "";
      });
      state.sort = KEYS.includes(said.get("sort")) ? said.get("sort") : "rank";
      state.order = said.get("order") === "desc" ? "desc" : "asc";
      state.shown = LIMIT;
    }

    heads.forEach((head) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => {
        const key = head.dataset.key;
        sortBy(key, state.sort === key && state.order === "asc" ? "desc" : "asc");
      });
      head.replaceChildren(button);
    });
    form.elements.sort.addEventListener("change", (event) => {
      event.stopPropagation();
      sortBy(form.elements.sort.value, ["date", "findings"].includes(form.elements.sort.value) ? "desc" : "asc");
    });
    form.addEventListener("input", (event) => {
      if (event.target.name !== "sort") change();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => {
      setTimeout(() => sortBy("rank", "asc"));
    });
    more.addEventListener("click", () => {
      const first = state.shown;
      state.shown += LIMIT;
      update().then(() => body.rows[first].querySelector("a").focus());
    });
    window.addEventListener("hashchange", () => {
      if (!location.hash.includes("=") && location.hash.length > 1) return;
      restore();
      update();
    });

    form.hidden = false;
    restore();
    if (touched()) update();
  }

  document.addEventListener("DOMContentLoaded", () => {
    themeButton();
    board();
  });
})();
