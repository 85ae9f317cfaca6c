// Lists of the class `fold` are folded on a phone. On paper everything is open.
if (matchMedia("(max-width: 44rem)").matches) {
  for (const list of document.querySelectorAll("details.fold")) list.open = false;
}
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const list of folded) list.open = true;
});
addEventListener("afterprint", () => {
  for (const list of folded) list.open = false;
});
// A link to a part opens the list that it is in.
function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  for (let list = target && target.closest("details"); list; list = list.parentElement.closest("details")) list.open = true;
}
addEventListener("hashchange", openTarget);
openTarget();
