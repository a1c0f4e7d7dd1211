// Starts Swagger UI on the page's <main>. Kept in a file of its own so that the page needs no inline script.
"use strict";

const place = document.getElementById("docs");

SwaggerUIBundle({
  domNode: place,
  url: new URL(place.dataset.description, document.baseURI).href,
  deepLinking: true,
  // A reader's token stays in this tab's memory and is gone with it.
  persistAuthorization: false,
  // The stock badge asks an outside host to judge the description.
  validatorUrl: null,
});
