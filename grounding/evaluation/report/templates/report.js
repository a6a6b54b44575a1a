"use strict";
// Shows the cards of one outcome, and says so where a picture beside the page is not there.
const gallery = document.getElementById("gallery");
if (gallery) {
  const cards = [...gallery.querySelectorAll(".card")];
  const buttons = [...gallery.querySelectorAll(".filters button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      for (const card of cards) card.hidden = button.dataset.outcome !== "" && card.dataset.outcome !== button.dataset.outcome;
    });
  }
  const lacking = (image) => {
    const place = image.closest(".pic");
    if (!place || place.querySelector(".lack")) return;
    const note = document.createElement("span");
    note.className = "lack";
    note.textContent = "picture not shown: " + image.getAttribute("href") + " is not beside this page";
    place.append(note);
  };
  for (const image of gallery.querySelectorAll("image[data-beside]")) {
    image.addEventListener("error", () => lacking(image));
    // It may have failed before this script ran.
    const probe = new Image();
    probe.addEventListener("error", () => lacking(image));
    probe.src = image.getAttribute("href");
  }
}
