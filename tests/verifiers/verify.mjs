// Reads signed deliveries as JSON lines and tells, line by line, which of the npm verifiers accepts each.
import { readFileSync } from "node:fs";
import * as standardwebhooks from "standardwebhooks";
import * as svix from "svix";

function accepts({ Webhook, WebhookVerificationError }, { secret, headers, body }) {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    // After a signature that fits, older versions parse the body, and an empty one is no JSON.
    if (error instanceof SyntaxError && body === "") return true;
    throw error;
  }
}

for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const delivery = JSON.parse(line);
  const verdict = { "npm standardwebhooks": accepts(standardwebhooks, delivery), "npm svix": accepts(svix, delivery) };
  console.log(JSON.stringify(verdict));
}
