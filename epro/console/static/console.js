// The few things that htmx does not do: after a form was refused, the reader is taken to what was said;
// after one was done, what was said before is taken away, and what was done is told to who listens;
// the menu shows where one is; a print button prints.
(function () {
  "use strict";
  // A page that came with its status filled tells nobody who listens: it is filled again once the page stands.
  function tell() {
    var done = document.getElementById("done");
    var line = done && done.firstElementChild;
    if (line) {
      done.removeChild(line);
      setTimeout(function () { done.appendChild(line); }, 150);
    }
  }
  // On a small screen the menu is wider than the page: the part with the present page is moved into sight.
  function show_place() {
    var here = document.querySelector(".menu [aria-current]");
    if (here) {
      var menu = here.parentElement;
      menu.scrollLeft = here.offsetLeft - menu.offsetLeft - (menu.clientWidth - here.offsetWidth) / 2;
    }
  }
  function arrived() {
    tell();
    show_place();
  }
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", arrived);
  } else {
    arrived();
  }
  document.addEventListener("htmx:afterSettle", function (event) {
    if (event.detail.target === document.body) {
      arrived();
    }
  });
  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.detail.target && event.detail.target.id === "said") {
      event.detail.target.scrollIntoView({ block: "nearest" });
    }
  });
  document.addEventListener("htmx:beforeRequest", function (event) {
    var said = document.getElementById("said");
    var verb = event.detail.requestConfig && event.detail.requestConfig.verb;
    if (said && verb === "post") {
      said.textContent = "";
    }
  });
  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-print]");
    if (button) {
      window.print();
    }
  });
})();
