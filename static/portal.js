// Colours of the scheme that the reader chose, the key / for the search box, copied commands, local times.
// Everything works without this file. It is loaded before the page is painted, so that the scheme does not change.
const THEMES = ["auto", "dark", "light"];
const dark = matchMedia("(prefers-color-scheme: dark)");

function chosenTheme() {
  try {
    const theme = localStorage.getItem("theme");
    return THEMES.includes(theme) ? theme : "auto";
  } catch {
    return "auto";
  }
}

function showTheme(theme) {
  const root = document.documentElement;
  root.dataset.theme = theme;
  // Swagger UI has a dark scheme of its own under this name.
  root.classList.toggle("dark-mode", theme === "dark" || (theme === "auto" && dark.matches));
}

showTheme(chosenTheme());
dark.addEventListener("change", () => showTheme(chosenTheme()));

function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // A browser that stores nothing shows the scheme until the next page.
  }
  showTheme(theme);
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const box = document.querySelector("input[type=search]");
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
});

// Without a secure context browsers have no clipboard; then the command is selected, ready to be copied by hand.
function copied(text, source) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => "Copied");
  getSelection().selectAllChildren(source);
  return Promise.resolve(document.execCommand("copy") ? "Copied" : "Selected: copy it now");
}

function offerCopies() {
  for (const button of document.querySelectorAll("button.copy")) {
    const source = button.previousElementSibling;
    button.hidden = false;
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      button.textContent = await copied(source.textContent, source).catch(() => "Not copied: select the text");
      setTimeout(() => { button.textContent = "Copy"; }, 3000);
    });
  }
}

function showLocalTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const local = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    time.title = time.title ? `${time.title}, ${local} local time` : `${local} local time`;
  }
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelector("button.theme")?.addEventListener("click", nextTheme);
  offerCopies();
  showLocalTimes();
});
