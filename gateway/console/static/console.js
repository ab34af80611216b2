// What makes the console's pages quicker where scripts run. Without this file they
// work all the same.
"use strict";

(() => {
  const dialog = document.getElementById("dialog");

  // What went wrong is told above the page when a script asked, and there is nothing
  // to show in the place of what it asked for.
  const tell = (title, message) => {
    const problem = document.createElement("div");
    problem.className = "problem";
    problem.setAttribute("role", "alert");
    for (const [name, text] of [["h2", title], ["p", message]]) {
      problem.appendChild(document.createElement(name)).textContent = text;
    }
    document.getElementById("notice").replaceChildren(problem);
    problem.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, serverResponse, requestConfig } = event.detail;
    const wanted = requestConfig.elt.closest("[hx-select]")?.getAttribute("hx-select");
    const answer = new DOMParser().parseFromString(serverResponse, "text/html");
    if (wanted ? answer.querySelector(wanted) : xhr.status < 400) {
      document.querySelector("#notice .problem")?.remove(); // it was an earlier answer's
      return;
    }
    event.detail.shouldSwap = false;
    tell(answer.querySelector("h1")?.textContent ?? "That did not work",
      answer.querySelector("main [role=alert]")?.textContent ?? "The answer was not a page of the console.");
  });
  document.addEventListener("htmx:sendError", () => {
    tell("The store cannot be reached", "No answer came. Try again in a moment; a form takes effect once, however often it is sent.");
  });

  // What a line of a form asked for is not shown when that line has gone meanwhile:
  // another one may have its place.
  document.addEventListener("htmx:beforeRequest", ({ detail: { elt } }) => {
    elt.addEventListener("htmx:beforeOnLoad", (event) => {
      if (!elt.isConnected) { event.preventDefault(); }
    }, { once: true });
  });

  // The second click of a double click was not meant for what the first one has put
  // in its place, such as the next line's button.
  document.addEventListener("click", (event) => {
    if (event.detail > 1 && event.target.closest("form button")) {
      event.preventDefault();
      event.stopPropagation();
    }
  }, true);

  // A question that was fetched is asked in a dialog instead of on its own page.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target === dialog && dialog.firstElementChild && !dialog.open) {
      dialog.showModal();
    }
  });
  dialog.addEventListener("click", (event) => {
    const keeps = event.target.closest("[data-close]");
    if (keeps || event.target === dialog) { // or beside it, on the backdrop
      event.preventDefault();
      dialog.close();
    }
  });
  addEventListener("pagehide", () => dialog.close()); // browsers keep the page as it is, for the way back
  dialog.addEventListener("close", () => dialog.replaceChildren());

  // A notice belongs to what was just done, not to the page's address.
  const address = new URL(location.href);
  if (address.searchParams.has("notice")) {
    address.searchParams.delete("notice");
    history.replaceState(history.state, "", address);
  }

  // An image that is not there leaves its place empty.
  const hide = (image) => { image.style.visibility = "hidden"; };
  document.addEventListener("error", (event) => {
    if (event.target instanceof HTMLImageElement) { hide(event.target); }
  }, true);
  for (const image of document.images) {
    if (image.complete && image.naturalWidth === 0 && image.loading !== "lazy") { hide(image); }
  }
})();
