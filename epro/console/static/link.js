// The secret of a link by e-mail stands in the fragment, which no server sees: it goes into the form and out of the address.
(function () {
  "use strict";
  var field = document.getElementById("link");
  var secret = window.location.hash.slice(1);
  if (field && secret) {
    field.value = secret;
    field.closest("div").hidden = true;
    window.history.replaceState(null, "", window.location.pathname);
  }
})();
