// The key / leads to the look-up box, and commands can be copied. Everything works without this file.
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

for (const button of document.querySelectorAll("button.copy")) {
  const source = button.previousElementSibling;
  button.hidden = false;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    button.textContent = await copied(source.textContent, source).catch(() => "Not copied: select the text");
    setTimeout(() => { button.textContent = "Copy"; }, 3000);
  });
}
