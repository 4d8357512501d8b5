// The paste box of the feed page: the answer begins at the row that was added, with the cursor in its subject. Without
// this file the row itself has the focus, and rows that a script has added meanwhile are not counted.
const read = document.querySelector("[name=_read_certificate]");
read.addEventListener("click", () => {
  const rows = document.querySelector("[name=certificate_rules-TOTAL_FORMS]").value;
  read.setAttribute("formaction", `#certificate_rules-${rows}`);
});
window.addEventListener("load", () => {
  const row = document.querySelector("tr[data-read]");
  (row?.querySelector("[autofocus]") ?? row?.querySelector("[name$=-subject_dn]"))?.focus();
});
