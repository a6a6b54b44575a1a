"use strict";
// Shows the cards with one tag and of one class, in the order that is asked for, and says how many there are.
const gallery = document.getElementById("answers");
if (gallery) {
  const box = gallery.querySelector(".pairs");
  const cards = [...box.children];
  const buttons = [...gallery.querySelectorAll(".filters button")];
  const ofClass = gallery.querySelector("[name=class]");
  const order = gallery.querySelector("[name=order]");
  const count = gallery.querySelector("[data-count]");
  let tag = "";
  const show = () => {
    let shown = 0;
    for (const card of cards) {
      const wanted = (!tag || card.dataset.tags.split(" ").includes(tag))
        && (!ofClass || !ofClass.value || card.dataset.class === ofClass.value);
      card.hidden = !wanted;
      shown += wanted;
    }
    count.textContent = shown;
  };
  const sort = () => {
    const by = {
      shown: (card) => Number(card.dataset.shown),
      data: (card) => Number(card.dataset.place),
      better: (card) => -Number(card.dataset.change),
      worse: (card) => Number(card.dataset.change),
    }[order.value];
    box.append(...[...cards].sort((a, b) => by(a) - by(b)));
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      tag = button.dataset.tag;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      show();
    });
  }
  if (ofClass) ofClass.addEventListener("change", show);
  order.addEventListener("change", sort);
}
