const form = document.getElementById("setup");
const answer = document.getElementById("answer");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const reply = await fetch(location.pathname, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
    });
    const body = await reply.json();
    if (!reply.ok) {
      answer.textContent = (body.errors || []).map((error) => error.message).join("\n") || body.detail;
      return;
    }
    form.remove();
    answer.textContent = `Done. Your access token, shown this once:\n${body.accessToken}\n\nMake an API key on the server:\n`
      + `tieline key create --tenant ${body.tenant} --name first --scopes full_access`;
  } catch (error) {
    answer.textContent = `The server did not answer: ${error.message}`;
  }
});
