// The secret of a link by e-mail stands in the fragment, which no server sees: it goes into the form and out of the address.
// This tab keeps it until a password has been taken, for a page that refuses one does not give it back.
(function () {
  "use strict";
  var KEPT = "epro-link";
  var field = document.getElementById("link");
  if (!field) {
    window.sessionStorage.removeItem(KEPT);
    return;
  }
  var secret = window.location.hash.slice(1);
  if (secret) {
    window.sessionStorage.setItem(KEPT, secret);
    window.history.replaceState(null, "", window.location.pathname);
  }
  field.value = secret || window.sessionStorage.getItem(KEPT) || "";
  field.closest("div").hidden = field.value !== "";
})();
