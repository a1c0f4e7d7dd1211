// The few things that htmx does not do: after a form was refused, the reader is taken to what was said;
// after one was done, what was said before is taken away; a print button prints.
(function () {
  "use strict";
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
