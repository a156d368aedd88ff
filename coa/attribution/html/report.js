"use strict";
const marks = [...document.querySelectorAll("mark")];
const claims = [...document.querySelectorAll(".claim")];
const pane = document.querySelector(".pane.sources");
const box = document.querySelector(".map i");
let mark = -1;
let claim = -1;

// Blocks out of sight have estimated heights: once they are laid out the target has moved, so follow it for a moment.
function bring(target, frames = 4) {
  target.scrollIntoView({ block: "center" });
  if (frames) requestAnimationFrame(() => bring(target, frames - 1));
}

function show(target) {
  document.querySelectorAll(".here").forEach((each) => each.classList.remove("here"));
  if (!target) return;
  if (marks.includes(target)) {
    mark = marks.indexOf(target);
    target.classList.add("here");
  }
  if (claims.includes(target)) select(claims.indexOf(target));
  bring(target);
}

// Only what one claim rests on; the same claim again, or none, shows everything.
function select(index) {
  claim = index;
  const number = index < 0 ? null : claims[index].dataset.claim;
  document.body.classList.toggle("filtered", number !== null);
  claims.forEach((each, at) => each.classList.toggle("on", at === index));
  document.querySelectorAll(".of, mark").forEach((each) => {
    each.classList.toggle("on", number !== null && each.dataset.claims.split(" ").includes(number));
  });
  if (number !== null) document.querySelector(`details.of[data-claims="${number}"]`)?.setAttribute("open", "");
}

function step(list, at, by) {
  return list.length ? (at + by + list.length) % list.length : -1;
}

function go(by) {
  const visible = marks.filter((each) => claim < 0 || each.classList.contains("on"));
  if (!visible.length) return;
  const next = visible[step(visible, visible.indexOf(marks[mark]), by)];
  history.replaceState(null, "", `#${next.id}`);
  show(next);
  next.focus({ preventScroll: true });
}

function turn() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

function follow() {
  const inner = getComputedStyle(pane).overflowY === "auto";
  const at = inner ? pane.scrollTop : Math.max(0, scrollY - pane.offsetTop);
  const whole = pane.scrollHeight || 1;
  const seen = inner ? pane.clientHeight : innerHeight;
  box.style.top = `${(100 * Math.min(at, whole)) / whole}%`;
  box.style.height = `${Math.min(100, (100 * seen) / whole)}%`;
}

addEventListener("hashchange", () => show(document.getElementById(location.hash.slice(1))));
addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (link) {
    event.preventDefault();
    history.replaceState(null, "", link.getAttribute("href"));
    show(document.getElementById(link.getAttribute("href").slice(1)));
    return;
  }
  const on = event.target.closest(".claim");
  if (on) select(claims.indexOf(on) === claim ? -1 : claims.indexOf(on));
  const at = event.target.closest("mark");
  if (at) show(document.getElementById(`c${at.dataset.claims.split(" ")[0]}`));
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter" && event.target.matches(".claim")) event.target.click();
  if (event.key === "n") go(1);
  if (event.key === "p") go(-1);
  if (event.key === "c") show(claims[step(claims, claim, 1)]);
  if (event.key === "a") document.querySelector(".answer").scrollIntoView({ block: "start" });
  if (event.key === "d") turn();
  if (event.key === "Escape") select(-1);
});
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
document.getElementById("theme").addEventListener("click", turn);
document.getElementById("print").addEventListener("click", () => print());
pane.addEventListener("scroll", follow, { passive: true });
addEventListener("scroll", follow, { passive: true });
addEventListener("resize", follow);
follow();
if (location.hash) show(document.getElementById(location.hash.slice(1)));
